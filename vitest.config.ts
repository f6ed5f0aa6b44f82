import { defineConfig } from 'vitest/config'
import { LongestFirst } from './test/support/longest-first.js'
import { testProjects, workersOf } from './test/support/projects.js'
import { temporaryFolderInMemory } from './test/support/temporary-folder.js'

// biome-ignore lint/suspicious/noUndeclaredEnvVars: no task of turbo reads it
const workers = workersOf(process.env['LIFEGUARD_TEST_URL'])

// Before the servers and the workers are started: all of them, and the programs that tests start, take it over.
const inMemory = temporaryFolderInMemory()
if (inMemory !== undefined) process.env['TMPDIR'] = inMemory

export default defineConfig({
  test: {
    // Once for the whole run; useDatabase() gives each file a database on the server of its worker.
    globalSetup: ['packages/testing/dist/vitest/global-setup.js'],
    provide: { lifeguardServers: workers },
    testTimeout: 30_000,
    hookTimeout: 60_000,
    sequence: { sequencer: LongestFirst },
    projects: testProjects().map(({ name, include, exclude, isolate, alone }) => ({
      extends: true as const,
      test: {
        name,
        include: [...include],
        exclude: ['**/node_modules/**', ...exclude],
        isolate,
        maxWorkers: alone ? 1 : workers,
        sequence: { groupOrder: alone ? 1 : 0 },
      },
    })),
  },
})
