import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import type { Peer, RowsLoad, RowsOrder } from '../peer.js'

/** The shell counts the processor time of its children in hundredths of a second: shorter readings would be rough. */
const leastMs = 1_000

/** Has the shell run a program, and say at the end what processor time it took. */
function startTimed(program: string, args: readonly string[]) {
  return spawn('sh', ['-c', '"$@" && times', 'sh', program, ...args], { stdio: ['pipe', 'pipe', 'pipe'] })
}

/** The second line of `times` is about the children: `0m1.23s 0m0.45s`, user and system; in microseconds. */
export function childTimes(said: string): number {
  const found = /(\d+)m([\d.]+)s (\d+)m([\d.]+)s\s*$/.exec(said)
  if (found === null) throw new Error(`no times at the end of: ${said}`)
  const [userMinutes, userSeconds, systemMinutes, systemSeconds] = found.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
  ]
  return Math.round(((userMinutes + systemMinutes) * 60 + userSeconds + systemSeconds) * 1e6)
}

/** `\copy` of psql, which hands the rows on and makes no values of them: the least that a client has to do. It has one caller. */
export const openPsql: Peer['open'] = (url) => ({
  async rows({ table, ms }): Promise<RowsLoad> {
    const child = startTimed('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', url])
    const closed = once(child, 'close')
    const said = text(child.stdout)
    // Standard error is not held back by it, as its standard output is.
    const answers = createInterface({ input: child.stderr })[Symbol.asyncIterator]()
    const start = performance.now()
    let copies = 0
    do {
      child.stdin.write(`\\copy (select * from ${table.name}) to '/dev/null'\n\\warn :ROW_COUNT\n`)
      const { value } = await answers.next()
      if (value !== String(table.rows)) throw new Error(`psql: ${value}, not ${table.rows} rows`)
      copies += 1
    } while (performance.now() - start < Math.max(leastMs, ms))
    const elapsedMs = performance.now() - start
    child.stdin.end()
    await closed
    return { rows: copies * table.rows, elapsedMs, cpuUs: childTimes(await said) }
  },
  end: async () => undefined,
})

/** pgbench, on PostgreSQL's own library for C: prepared statements, whose rows it takes as text and does not look at. */
export const openPgbench: Peer['open'] = async (url, connections) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'bench-pgbench-'))
  const script = path.join(folder, 'script.sql')
  return {
    rows: async ({ table, ms }: RowsOrder): Promise<RowsLoad> => {
      await writeFile(script, `select * from ${table.name};\n`)
      const seconds = Math.ceil(Math.max(leastMs, ms) / 1_000)
      const how = ['-n', '-M', 'prepared', '-c', String(connections), '-j', '1', '-T', String(seconds)]
      const child = startTimed('pgbench', [...how, '-f', script, url])
      child.stdin.end()
      const [said, complaints] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
      const processed = /actually processed: (\d+)/.exec(said)?.[1]
      const perSecond = /tps = ([\d.]+)/.exec(said)?.[1]
      if (processed === undefined || perSecond === undefined) throw new Error(`pgbench: ${said}${complaints}`)
      const queries = Number(processed)
      return {
        rows: queries * table.rows,
        elapsedMs: (queries / Number(perSecond)) * 1_000,
        cpuUs: childTimes(said),
      }
    },
    end: () => rm(folder, { recursive: true, force: true }),
  }
}
