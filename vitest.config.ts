import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

// biome-ignore lint/suspicious/noUndeclaredEnvVars: no task of turbo reads it
const onOwnServer = (process.env['LIFEGUARD_TEST_URL'] ?? '') !== ''
// Most files wait for a server most of the time. Files look at the whole of it, and end what is on it: one at a time,
// and each worker has its own.
const workers = onOwnServer ? 1 : Math.min(8, availableParallelism() + 1)

/** Of the lower floors, with fakes and a fake clock: nothing that one file leaves reaches another. */
const fakes = [
  'packages/core/test/{base,errors,policy}/**/*.test.ts',
  'packages/core/test/sql/{meaning,text-effects,tokens}.test.ts',
]
/** What they compare is time or memory: nothing else of ours runs beside them. */
const measured = [
  'packages/core/test/host/{lanes,watch-cost}.test.ts',
  'packages/core/test/session/lock-names.test.ts',
  'test/memory/**/*.test.ts',
]
/** Whole programs, in processes of their own. The longest, so they begin first: projects run in the order of their names. */
const programs = ['apps/*/test/**/*.test.ts', 'bench/test/**/*.test.ts', 'test/**/*.test.ts']
const servers = ['packages/*/test/**/*.test.ts']

const project = (name: string, include: string[], exclude: string[], more: object = {}) => ({
  extends: true as const,
  test: { name, include, exclude: ['**/node_modules/**', ...exclude], maxWorkers: workers, ...more },
})

export default defineConfig({
  test: {
    // Once for the whole run; useDatabase() gives each file a database on the server of its worker.
    globalSetup: ['packages/testing/dist/vitest/global-setup.js'],
    provide: { lifeguardServers: workers },
    testTimeout: 30_000,
    hookTimeout: 60_000,
    projects: [
      project('fakes', fakes, [], { isolate: false }),
      project('programs', programs, measured),
      project('servers', servers, [...fakes, ...measured]),
      project('measured', measured, [], { maxWorkers: 1, sequence: { groupOrder: 1 } }),
    ],
  },
})
