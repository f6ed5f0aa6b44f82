import { availableParallelism } from 'node:os'
import { files, read } from './workspace.js'

/** The tests of one project of vitest.config.ts. */
export interface TestProject {
  readonly name: string
  /** Patterns, so that a file that is new is found while vitest watches. */
  readonly include: readonly string[]
  readonly exclude: readonly string[]
  /** `false`: its files share a process, and what they import. */
  readonly isolate: boolean
  /** Nothing of another project runs at the same time, and one file after the other. */
  readonly alone: boolean
}

/**
 * How many files run at a time. Most wait most of the time, for a server or for a deadline, so two more than there are
 * processors. They look at the whole of their server, and end what is on it: each worker has its own, and one that is
 * given has one worker.
 */
export function workersOf(givenServer: string | undefined): number {
  return (givenServer ?? '') === '' ? Math.min(8, availableParallelism() + 2) : 1
}

/** What they compare is time or memory. */
const measured = [
  'packages/core/test/server/pipelining.test.ts',
  'packages/core/test/server/observer-cost.test.ts',
  'packages/core/test/lock/names.test.ts',
  'test/memory/memory.test.ts',
]

/** What reaches beyond its file: modules put in the place of others, a faked global, what the whole process has. */
const needsItsOwnProcess = /vi\.mock|useFakeTimers|process\.(on|memoryUsage)\(/

/** What a test of a facade imports of others, which may change what is global; pg itself and what belongs to it do not. */
const importsOthers = /from '(?!\.|node:|vitest'|@pg-lifeguard\/|pg'|pg-cursor'|pg-query-stream'|pg-copy-streams')/

/** Whether a file of a package has a process to itself. */
function isApart(path: string): boolean {
  const source = read(path)
  if (needsItsOwnProcess.test(source)) return true
  // These start clusters and end them.
  if (path.startsWith('packages/testing/test/cluster-')) return true
  return path.startsWith('packages/core/test/pg-compat/') && importsOthers.test(source)
}

const ofPackages = ['packages/*/test/**/*.test.ts']

/** What these put under load is in the process of the test: they have it to themselves. */
const underLoad = ['chaos', 'chaos-cluster', 'chaos-locks', 'incidents', 'outages', 'proof', 'stress']

/**
 * What takes longest in each project, the longest first: it begins first, as else the run would end with a single file.
 * The others follow in the order of vitest: it knows how long they took, or how large they are.
 */
export const longest: readonly string[] = [
  'test/incidents/incidents.test.ts',
  'test/proof/proof.test.ts',
  'test/outages/outages.test.ts',
  'test/chaos-cluster/chaos-cluster.test.ts',
  'test/chaos/increments.test.ts',
  'test/chaos-locks/chaos-locks.test.ts',
  'apps/example/test/demos.test.ts',
  'apps/example/test/demo.test.ts',
  'test/packages/tarballs.test.ts',
  'apps/example/test/ctrl-c.test.ts',
  'test/docs/examples.test.ts',
  'test/packages/jest.test.ts',
  'bench/test/bench.test.ts',
  'test/packages/commonjs.test.ts',
  'packages/testing/test/cluster-lifetime.test.ts',
  'packages/conformance/test/conformance-drizzle-1.test.ts',
  'packages/testing/test/cluster-vitest.test.ts',
  'packages/testing/test/cluster-binaries.test.ts',
  'packages/core/test/query/copy-long-values.test.ts',
  'packages/conformance/test/conformance.test.ts',
  'packages/core/test/lock/settings.test.ts',
  'packages/core/test/lock/deadlocks.test.ts',
  'packages/core/test/cluster/failover.test.ts',
  'packages/core/test/cluster/several-hosts.test.ts',
  'packages/core/test/transaction/transaction.model.test.ts',
  'packages/core/test/pool/exit-after-end.test.ts',
  'packages/core/test/query/long-texts.test.ts',
  'packages/testing/test/proxy-commit.test.ts',
  'packages/core/test/connection/hostile-server.test.ts',
  'packages/core/test/pool/fallback-of-others.test.ts',
  'packages/core/test/server/breaker.test.ts',
]

/** Every test file, each in one project; in the order in which they run: the longest first, before the many short ones. */
export function testProjects(): TestProject[] {
  const shared = files(...ofPackages).filter((path) => !measured.includes(path) && !isApart(path))
  const load = underLoad.map((folder) => `test/${folder}/*.test.ts`)
  const programs = ['apps/*/test/**/*.test.ts', 'bench/test/**/*.test.ts', 'test/**/*.test.ts']
  return [
    { name: '1 load', include: load, exclude: measured, isolate: true, alone: false },
    // Whole programs, in processes of their own.
    { name: '2 programs', include: programs, exclude: [...load, ...measured], isolate: false, alone: false },
    { name: '3 apart', include: ofPackages, exclude: [...shared, ...measured], isolate: true, alone: false },
    { name: '4 shared', include: shared, exclude: [], isolate: false, alone: false },
    { name: '5 measured', include: measured, exclude: [], isolate: true, alone: true },
  ]
}
