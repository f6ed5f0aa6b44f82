import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { expect } from 'vitest'
import { isPortFree } from '../../dist/cluster/keeper/free-port.js'
import { childrenOf, isAlive } from '../../dist/cluster/keeper/process-tree.js'
import { waitUntil } from '../../dist/cluster/wait-until.js'

/** A folder that any account may enter, gone at the end of the block. */
export function openFolder(): Disposable & { path: string } {
  const folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'test-of-lifeguard-')))
  chmodSync(folder, 0o755)
  return { path: folder, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) }
}

export interface Report {
  readonly folder: string
  readonly uid: number
  readonly serverUid: number
  readonly servers: readonly { url: string; port: number; pid: number }[]
}

export interface ProgramOptions {
  readonly args: readonly string[]
  /** Its TMPDIR: everything it makes is in there. */
  readonly temp: string
  readonly script?: string
  readonly execPath?: string
  readonly uid?: number | undefined
  /** @default 'inherit' */
  readonly stderr?: 'inherit' | 'pipe'
}

/** Runs start-and.ts as a process group of its own, as a shell does. */
export function startProgram(options: ProgramOptions): ChildProcess {
  const { args, temp, uid, execPath = process.execPath } = options
  const script = options.script ?? path.join(import.meta.dirname, 'start-and.ts')
  return spawn(execPath, [script, ...args], {
    cwd: path.dirname(script),
    detached: true,
    env: { PATH: process.env['PATH'], HOME: temp, TMPDIR: temp },
    stdio: ['ignore', 'pipe', options.stderr ?? 'inherit'],
    ...(uid === undefined ? {} : { uid, gid: uid }),
  })
}

export async function reportOf(program: ChildProcess): Promise<Report> {
  if (program.stdout === null) throw new Error('bug: the program was started without a pipe')
  for await (const line of createInterface({ input: program.stdout })) return JSON.parse(line) as Report
  throw new Error('the program ended without a report')
}

export async function ended(program: ChildProcess): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  if (program.exitCode === null && program.signalCode === null) await once(program, 'exit')
  return { code: program.exitCode, signal: program.signalCode }
}

/** The process, its children, their children, ... */
export async function familyOf(pid: number): Promise<number[]> {
  const children = await childrenOf(pid)
  return [pid, ...(await Promise.all(children.map(familyOf))).flat()]
}

/** What is still there of a cluster. */
export async function leftovers(of: { pids: readonly number[]; ports: readonly number[]; temp: string }) {
  const free = await Promise.all(of.ports.map(isPortFree))
  return {
    processes: of.pids.filter(isAlive),
    ports: of.ports.filter((_, index) => !free[index]),
    files: readdirSync(of.temp),
  }
}

export const nothing = { processes: [], ports: [], files: [] }

/** The keeper cleans up after a process that has ended: soon, and without being asked. */
export async function expectNothingLeftSoon(of: Parameters<typeof leftovers>[0]): Promise<void> {
  await waitUntil(
    async () => {
      const { processes, ports, files } = await leftovers(of)
      return processes.length + ports.length + files.length === 0 ? true : undefined
    },
    { timeoutMs: 10_000 },
  )
  expect(await leftovers(of)).toEqual(nothing)
}
