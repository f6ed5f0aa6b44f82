import { join } from 'node:path'
import { files, read, root } from '../support/workspace.js'

/** A program of the lab: what the tests do as a smoke, in full. */
export interface Lab {
  readonly name: string
  readonly title: string
  /** The arguments of node. */
  readonly program: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Whether it needs all packages to be built, and not only what `pnpm lab` has built for itself. */
  readonly needsAll?: true
}

/** The arguments of node that build all packages. */
export const buildAll: readonly string[] = [
  join(root, 'node_modules/turbo/bin/turbo'),
  ...['run', 'build', '--cwd', root, '--output-logs=errors-only', '--no-update-notifier'],
]

const ofTests = (folder: string): readonly string[] => [join(root, 'test/dist', folder, 'main.js')]

/** Tests of properties; each draws its own cases, so that more runs see more of them. */
function propertyTests(): string[] {
  return files('packages/*/test/**/*.test.ts').filter((path) => read(path).includes('support/seeded.js'))
}

/** How many times as many runs a property has as in the tests. */
const times = process.env['FC_TIMES'] ?? '20'

/** Every program of the lab, in the order of `pnpm lab all`. */
export const labs: readonly Lab[] = [
  {
    name: 'proof',
    title: 'every fault at every moment of a transaction; writes the table of the page',
    program: ofTests('proof'),
  },
  { name: 'chaos', title: 'transfers while sessions are killed and connections cut', program: ofTests('chaos') },
  { name: 'chaos:locks', title: 'locks under processes that are killed and stopped', program: ofTests('chaos-locks') },
  {
    name: 'chaos:cluster',
    title: 'late, slow and dead replicas, a primary that dies and comes back',
    program: ofTests('chaos-cluster'),
  },
  { name: 'stress', title: 'random operations on a pool, from a seed', program: ofTests('stress') },
  { name: 'outages', title: 'what callers see while something goes wrong', program: ofTests('outages') },
  {
    name: 'incidents',
    title: 'seven incidents, as callers, events, stats() and health() show them',
    program: ofTests('incidents'),
  },
  { name: 'memory', title: 'peak memory of streams and COPY', program: ofTests('memory') },
  {
    name: 'properties',
    title: 'the properties of the tests with twenty times the runs; FC_TIMES=100 for more',
    get program() {
      const vitest = join(root, 'node_modules/vitest/vitest.mjs')
      // What a test may take by itself, as often; the longer ones say it with `longEnough`.
      const timeoutMs = String(30_000 * Number(times))
      return [vitest, 'run', '--root', root, '--testTimeout', timeoutMs, ...propertyTests()]
    },
    needsAll: true,
    env: { FC_TIMES: times },
  },
  {
    name: 'bench',
    title: 'side by side with other pools',
    program: [join(root, 'bench/dist/main.js')],
    needsAll: true,
  },
]
