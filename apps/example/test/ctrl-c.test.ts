import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { startDemo } from './run-demo.js'

/** A place for temporary files in which nobody else makes any. */
function ownTemporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'ticket-office-test-'))
  // PostgreSQL runs under another account when this one is root.
  chmodSync(folder, 0o755)
  onTestFinished(() => rmSync(folder, { recursive: true }))
  return folder
}

function commandsWith(text: string): string[] {
  return execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' })
    .split('\n')
    .filter((command) => command.includes(text))
}

function onlyFolderIn(folder: string): string {
  const [name] = readdirSync(folder)
  expect(name).toBeDefined()
  return path.join(folder, name ?? '')
}

/** https://www.postgresql.org/docs/18/storage-file-layout.html: what a server says of itself, line by line. */
function postmasterPid(temporary: string): string {
  const folder = onlyFolderIn(temporary)
  const [pidFile] = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
    (name) => path.basename(name) === 'postmaster.pid',
  )
  return readFileSync(path.join(folder, pidFile ?? ''), 'utf8')
}

/** The line of postmaster.pid that says that connections are accepted. */
function expectReady(temporary: string): void {
  expect(postmasterPid(temporary)).toContain('ready')
}

/** Its fourth line. */
function portIn(temporary: string): string {
  return postmasterPid(temporary).split('\n')[3] ?? ''
}

const endlessSale = ['oversell', '--json', '--runs', '1000']

test.each([
  ['as soon as there is something to remove', endlessSale, onlyFolderIn],
  ['when the server is up and the sale begins', endlessSale, expectReady],
  ['when the servers of all demos are up', ['--json'], expectReady],
])(
  'Ctrl-C %s leaves no process and no folder',
  async (_when, args, reached) => {
    const temporary = ownTemporaryFolder()
    const { child, outcome } = startDemo(args, { TMPDIR: temporary })
    await vi.waitFor(() => reached(temporary), { timeout: 20_000, interval: 2 })
    // As a terminal does it: the whole process group gets the signal.
    process.kill(-(child.pid ?? 0), 'SIGINT')
    const { code, signal, stdout, stderr } = await outcome
    expect({ code, signal, stdout, stderr }).toEqual({
      code: null,
      signal: 'SIGINT',
      stdout: '',
      stderr: 'lifeguard demo: interrupted, tidying up\n',
    })
    expect(readdirSync(temporary)).toEqual([])
    expect(commandsWith(temporary)).toEqual([])
  },
  60_000,
)

test('Ctrl-C in a demo that has child processes leaves nothing either', async () => {
  const temporary = ownTemporaryFolder()
  const { child, outcome } = startDemo(['stream-and-copy', '--json'], { TMPDIR: temporary })
  await vi.waitFor(() => expectReady(temporary), { timeout: 60_000, interval: 20 })
  const port = portIn(temporary)
  const workers = (): string[] => commandsWith('stream-and-copy/worker.js').filter((one) => one.includes(`:${port}/`))
  await vi.waitFor(() => expect(workers()).not.toEqual([]), { timeout: 60_000, interval: 20 })
  process.kill(-(child.pid ?? 0), 'SIGINT')
  const { code, signal, stdout, stderr } = await outcome
  expect({ code, signal, stdout, stderr }).toEqual({
    code: null,
    signal: 'SIGINT',
    stdout: '',
    stderr: 'lifeguard demo: interrupted, tidying up\n',
  })
  expect(readdirSync(temporary)).toEqual([])
  expect(commandsWith(temporary)).toEqual([])
  await vi.waitFor(() => expect(workers()).toEqual([]), { timeout: 10_000 })
}, 120_000)

test('success and failure leave no process and no folder', async () => {
  const temporary = ownTemporaryFolder()
  const crowd = ['oversell', '--buyers', '40', '--tickets', '10', '--way', 'lock']
  expect((await startDemo(crowd, { TMPDIR: temporary }).outcome).code).toBe(0)
  expect(readdirSync(temporary)).toEqual([])
  await using taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const { port } = taken.address() as AddressInfo
  expect((await startDemo([...crowd, '--port', String(port)], { TMPDIR: temporary }).outcome).code).toBe(1)
  expect(readdirSync(temporary)).toEqual([])
  expect(commandsWith(temporary)).toEqual([])
}, 60_000)
