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
 * How many files run at a time. Most wait for a server most of the time, so one more than there are processors. They look
 * at the whole of their server, and end what is on it: each worker has its own, and one that is given has one worker.
 */
export function workersOf(givenServer: string | undefined): number {
  return (givenServer ?? '') === '' ? Math.min(8, availableParallelism() + 1) : 1
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

/** These start clusters and end them, or load packages of others, which change what is global. */
const apart = ['packages/testing/test/', 'packages/core/test/pg-compat/']

const ofPackages = ['packages/*/test/**/*.test.ts']

/** Every test file, each in one project; in the order in which they run: the longest first, before the many short ones. */
export function testProjects(): TestProject[] {
  const shared = files(...ofPackages).filter((path) => {
    const alone = measured.includes(path) || apart.some((folder) => path.startsWith(folder))
    return !alone && !needsItsOwnProcess.test(read(path))
  })
  const programs = ['apps/*/test/**/*.test.ts', 'bench/test/**/*.test.ts', 'test/**/*.test.ts']
  return [
    // Whole programs, in processes of their own.
    { name: '1 programs', include: programs, exclude: measured, isolate: true, alone: false },
    { name: '2 apart', include: ofPackages, exclude: [...shared, ...measured], isolate: true, alone: false },
    { name: '3 shared', include: shared, exclude: [], isolate: false, alone: false },
    { name: '4 measured', include: measured, exclude: [], isolate: true, alone: true },
  ]
}
