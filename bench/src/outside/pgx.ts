import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Peer, RowsOrder } from '../peer.js'
import { checkSum } from '../read-rows.js'
import { goPath } from './installed.js'

const source = fileURLToPath(new URL('../../pgx/main.go', import.meta.url))

/** What the program answers to an order, see main.go. */
interface Account {
  readonly rows: number
  readonly queries: number
  readonly sum: number
  readonly elapsedMs: number
  readonly cpuUs: number
  readonly maxRss: number
  readonly failed?: string
}

/** Go's driver, in a program of its own that is built for the occasion. It measures itself. */
export const openPgx: Peer['open'] = async (url, connections) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'bench-pgx-'))
  const binary = path.join(folder, 'pgx')
  let child: ChildProcess
  try {
    // Without modules, so that what Debian has installed is used and nothing is downloaded.
    const env = { ...process.env, GO111MODULE: 'off', GOPATH: goPath, GOFLAGS: '' }
    const built = spawnSync('go', ['build', '-o', binary, source], { env, encoding: 'utf8' })
    if (built.status !== 0) throw new Error(`go build: ${built.stderr}`)
    child = spawn(binary, [url, String(connections)], { stdio: ['pipe', 'pipe', 'inherit'] })
    await once(child, 'spawn')
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw error
  }
  const { stdin, stdout } = child
  if (stdin === null || stdout === null) throw new Error('bug: pipes were asked for')
  const lines = createInterface({ input: stdout })[Symbol.asyncIterator]()
  const carryOut = async ({ table, callers, ms }: RowsOrder): Promise<Account> => {
    stdin.write(`${JSON.stringify({ table: table.name, callers, ms })}\n`)
    const { value, done } = await lines.next()
    if (done === true) throw new Error('pgx ended before it had answered')
    const account = JSON.parse(value) as Account
    if (account.failed !== undefined) throw new Error(`pgx: ${account.failed}`)
    checkSum(account.sum / account.queries, table)
    return account
  }
  return {
    rows: carryOut,
    async rowsPeak(table) {
      return (await carryOut({ table, callers: 1, ms: 0 })).maxRss / 1_024
    },
    async end() {
      const exited = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined
      stdin.end()
      await exited
      await rm(folder, { recursive: true, force: true })
    },
  }
}
