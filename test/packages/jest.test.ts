import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { afterAll, beforeAll, expect, test } from 'vitest'

const database = useDatabase()
const folder = fileURLToPath(new URL('jest', import.meta.url))
const jest = createRequire(import.meta.url).resolve('jest/bin/jest')

/** Of these runs alone, which share what jest makes of the same files. */
let cacheDirectory = ''
beforeAll(async () => {
  cacheDirectory = await mkdtemp(join(tmpdir(), 'lifeguard-jest-'))
})
afterAll(() => rm(cacheDirectory, { recursive: true, force: true }))

interface Report {
  readonly success: boolean
  readonly numPassedTests: number
  readonly testResults: readonly { readonly message: string }[]
}

/** Runs jest with what docs/jest.md says. */
async function run(config: object, nodeOptions: string): Promise<Report> {
  const all = {
    rootDir: folder,
    testMatch: ['**/*.test.cjs'],
    haste: { retainAllFiles: false },
    cacheDirectory,
    ...config,
  }
  const args = [jest, '--config', JSON.stringify(all), '--json', '--ci', '--runInBand', '--watchman=false']
  const env = { ...process.env, DATABASE: database.url, NODE_OPTIONS: nodeOptions }
  const ran = promisify(execFile)(process.execPath, args, { cwd: folder, env, timeout: 90_000 })
  const { stdout } = await ran.catch((error: { readonly stdout: string }) => error)
  return JSON.parse(stdout) as Report
}

test.each([
  ['its fake timers turned on in a test', '--experimental-vm-modules', {}],
  ['the preset, where jest loads ES modules', '--experimental-vm-modules', { preset: '@pg-lifeguard/core' }],
  ['the preset, where jest loads CommonJS only', '', { preset: '@pg-lifeguard/core' }],
  [
    'its fake timers everywhere, but for what a socket needs',
    '--experimental-vm-modules',
    {
      fakeTimers: {
        enableGlobally: true,
        doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate', 'setTimeout', 'clearTimeout', 'performance'],
      },
    },
  ],
])(
  'jest loads the packages and a pool works: %s',
  async (_, nodeOptions, config) => {
    const report = await run(config, nodeOptions)
    expect(report.testResults.map(({ message }) => message).join('\n')).toBe('')
    expect(report).toMatchObject({ success: true, numPassedTests: 2 })
  },
  120_000,
)
