import { randomBytes } from 'node:crypto'
import { Statement } from '../connection/statement.js'
import type { Clock, Timer } from '../deadline/clock.js'
import { Deadline, noDeadline, sleep } from '../deadline/deadline.js'
import { ConnectionLostError } from '../errors/pool-errors.js'
import { noop } from '../observe/noop.js'
import type { Server } from '../server/server.js'
import { type Ask, staysIdleSql } from '../transaction/lock-sql.js'

/** Somebody who waits for a lock while holding others. */
export interface LockWait {
  /** The key that is waited for. */
  readonly waitsFor: string
  /** The keys that are held by the code that waits, and cannot be released before it goes on. */
  readonly holds: ReadonlySet<string>
  /** Names the wait to all processes; empty for one of another program. */
  readonly id: string
}

/**
 * Who waits for whom. The server finds deadlocks between sessions; but the locks of one line of work may be on several
 * sessions, or waited for inside this process, and then only their holder knows that they belong together.
 */
export class LockWaits {
  readonly #waits = new Set<LockWait>()

  add(wait: LockWait): void {
    this.#waits.add(wait)
  }

  delete(wait: LockWait): void {
    this.#waits.delete(wait)
  }

  /** Every wait of this process. */
  get all(): readonly LockWait[] {
    return [...this.#waits]
  }
}

/**
 * The waits that lead from `start` back to it: each one waits for a key that the next one holds. Undefined when there is
 * no such circle.
 */
export function circleOf(start: LockWait, all: readonly LockWait[]): LockWait[] | undefined {
  const seen = new Set<LockWait>()
  const path: LockWait[] = []
  const search = (wait: LockWait): boolean => {
    path.push(wait)
    for (const next of all) {
      if (!next.holds.has(wait.waitsFor)) continue
      if (next === start) return true
      if (seen.has(next)) continue
      seen.add(next)
      if (search(next)) return true
    }
    path.pop()
    return false
  }
  return search(start) ? path : undefined
}

/** What a waiting statement says of the locks that its line of work holds already; other processes read it. */
export function noteOf(id: string, holds: Iterable<string>): string {
  return `/* lifeguard ${id} holds ${[...holds].join(' ')} */ `
}

/** The same for waits that are not on the server. */
function postOf(waits: readonly LockWait[]): string {
  return `/* lifeguard board ${waits.map(({ id, waitsFor, holds }) => `${id} ${waitsFor} ${[...holds].join(' ')};`).join('')} */ `
}

/**
 * Every advisory lock of the sessions that wait for one in this database, with the statement that waits; and what other
 * processes show of their own waits. A key is put together from its halves as the server shows them:
 * https://www.postgresql.org/docs/18/view-pg-locks.html
 */
const waitsSql = `
  with locks as (
    select l.pid, l.objsubid as form, l.classid::pg_catalog.int8 as high, l.objid::pg_catalog.int8 as low, l.granted
    from pg_catalog.pg_locks l join pg_catalog.pg_database d on d.oid OPERATOR(pg_catalog.=) l.database
    where l.locktype OPERATOR(pg_catalog.=) 'advisory'
      and d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
  )
  select l.pid, l.form, l.high, l.low, l.granted, a.query
  from locks l join pg_catalog.pg_stat_activity a on a.pid OPERATOR(pg_catalog.=) l.pid
  where exists (select from locks w where w.pid OPERATOR(pg_catalog.=) l.pid and not w.granted)
  union all
  select a.pid, null, null, null, null, a.query from pg_catalog.pg_stat_activity a
  where a.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
    and pg_catalog.starts_with(a.query, '/* lifeguard board ')`

interface LockRow {
  readonly pid: number
  readonly form: number
  readonly high: string
  readonly low: string
  readonly granted: boolean
  readonly query: string | null
}

interface BoardRow {
  readonly form: null
  readonly query: string
}

/** Who waits, in this process and in others, from the rows of `waitsSql`. */
function remoteWaits(rows: readonly unknown[]): LockWait[] {
  const all = rows as readonly (LockRow | BoardRow)[]
  const locks = all.flatMap((row) =>
    row.form === null ? [] : [{ ...row, key: keyId(row.form, BigInt(row.high), BigInt(row.low)) }],
  )
  const onServer = locks.flatMap(({ pid, granted, key, query }): LockWait[] => {
    if (granted) return []
    const own = locks.flatMap((other) => (other.granted && other.pid === pid ? [other.key] : []))
    const note = readNote(query ?? '')
    const holds = new Set([...own, ...note.holds])
    holds.delete(key)
    // A session of another program holds what it holds, and has no name.
    return [{ waitsFor: key, holds, id: note.id }]
  })
  return [...onServer, ...all.flatMap((row) => (row.form === null ? readPost(row.query) : []))]
}

/** The server keeps the first `track_activity_query_size` bytes of a statement: the last key may be cut in two. */
function readNote(query: string): { readonly id: string; readonly holds: readonly string[] } {
  const found = /^\/\* lifeguard ([0-9a-f]+) holds ([-0-9, ]*)(\*\/)?/.exec(query)
  const [, id = '', list = '', end] = found ?? []
  const keys = list.split(' ').filter((key) => key !== '')
  return { id, holds: end === undefined ? keys.slice(0, -1) : keys }
}

/** What is cut off is not shown for now. */
function readPost(query: string): LockWait[] {
  return [...query.matchAll(/([0-9a-f]{16}) ([-0-9,]+) ([-0-9, ]*);/g)].map(
    ([, id = '', waitsFor = '', holds = '']) => {
      return { id, waitsFor, holds: new Set(holds.split(' ')) }
    },
  )
}

/** The id of a key from the halves in pg_locks: `objsubid` is 1 for one number of 64 bits, and 2 for two of 32. */
export function keyId(form: number, high: bigint, low: bigint): string {
  if (form === 1) return String(BigInt.asIntN(64, (high << 32n) | low))
  return `${BigInt.asIntN(32, high)},${BigInt.asIntN(32, low)}`
}

/** Between two attempts to have a connection for it. */
const pauseMs = 250

/**
 * Shows other processes the waits inside this one, which the server does not know of: as the text of the last
 * statement, which does nothing, of a connection of its own. That idles then, and holds no snapshot: CREATE INDEX
 * CONCURRENTLY would wait for it. It is there only while somebody has waited for long while holding locks.
 */
export class LockBoard {
  readonly #server: Server
  readonly #clock: Clock
  readonly #shown = new Set<LockWait>()
  #change = Promise.withResolvers<void>()
  #isUp = false

  constructor(server: Server) {
    this.#server = server
    this.#clock = server.environment.clock
  }

  add(wait: LockWait): void {
    if (this.#shown.has(wait)) return
    this.#shown.add(wait)
    this.#change.resolve()
    if (!this.#isUp) void this.#show()
  }

  delete(wait: LockWait): void {
    if (this.#shown.delete(wait)) this.#change.resolve()
  }

  async #show(): Promise<void> {
    this.#isUp = true
    while (this.#shown.size > 0) {
      try {
        await this.#server.runBeside(
          'locks',
          async (connection) => {
            // No race of promises: each one would leave something on a promise that lives as long as the session.
            connection.onLost(() => this.#change.resolve())
            await connection.run(new Statement({ text: staysIdleSql }), noDeadline)
            while (this.#shown.size > 0) {
              this.#change = Promise.withResolvers<void>()
              await connection.run(new Statement({ text: postOf([...this.#shown]) }), noDeadline)
              if (connection.isAlive) await this.#change.promise
              if (!connection.isAlive) throw new ConnectionLostError(true, { cause: connection.lostWith })
            }
          },
          noDeadline,
        )
      } catch {
        // Without a connection nothing can be shown now; those who wait are bounded as before.
        await sleep(pauseMs, this.#clock, noDeadline)
      }
    }
    this.#isUp = false
  }
}

/** How often a wait under other locks is checked; as the server's own `deadlock_timeout`. */
const everyMs = 1_000
/** How long a check may take. */
const askMs = 5_000

/** A wait on the server that is being watched. */
export interface Watched {
  /** To be put in front of the statement that waits. */
  readonly note: string
  stop(): void
}

/**
 * Finds deadlocks that go over several sessions of one line of work, which the server cannot see. Every process checks
 * the same waits, and comes to the same answer who of a circle gives way.
 */
export class DeadlockWatch {
  readonly #inside = new LockWaits()
  readonly #onServer = new LockWaits()
  readonly #ask: Ask
  readonly #board: LockBoard
  readonly #clock: Clock

  constructor(ask: Ask, board: LockBoard, clock: Clock) {
    this.#ask = ask
    this.#board = board
    this.#clock = clock
  }

  /**
   * Watches a wait on the server for `keys`, by code that holds `holds` on other sessions; calls back when it is part of
   * a circle, and the one that gives way.
   */
  onServer(keys: readonly string[], holds: ReadonlySet<string>, onDeadlock: () => void): Watched {
    if (holds.size === 0 && keys.length === 1) return { note: '', stop: noop }
    const id = newId()
    // The other keys of the call are waited for by the rest of this process until all of it is granted.
    const waits = keys.map((waitsFor): LockWait => {
      return { id, waitsFor, holds: new Set([...holds, ...keys.filter((one) => one !== waitsFor)]) }
    })
    for (const wait of waits) this.#onServer.add(wait)
    const stop = this.#watch(id, onDeadlock, noop)
    return {
      note: noteOf(id, new Set([...holds, ...keys])),
      stop: () => {
        stop()
        for (const wait of waits) this.#onServer.delete(wait)
      },
    }
  }

  /**
   * The same for a wait inside this process; undefined when it closes a circle here and now. Other processes are shown
   * it once it has lasted.
   */
  inside(waitsFor: string, holds: ReadonlySet<string>, onDeadlock: () => void): (() => void) | undefined {
    if (holds.size === 0) return noop
    const wait: LockWait = { id: newId(), waitsFor, holds }
    this.#inside.add(wait)
    if (circleOf(wait, [...this.#inside.all, ...this.#onServer.all]) !== undefined) {
      this.#inside.delete(wait)
      return undefined
    }
    const stop = this.#watch(wait.id, onDeadlock, () => this.#board.add(wait))
    return () => {
      stop()
      this.#inside.delete(wait)
      this.#board.delete(wait)
    }
  }

  #watch(id: string, onDeadlock: () => void, beforeCheck: () => void): () => void {
    let stopped = false
    const lookLater = (): Timer =>
      this.#clock.setTimer(everyMs, () => {
        beforeCheck()
        this.#mustGiveWay(id)
          .then(
            (must) => {
              if (must && !stopped) onDeadlock()
            },
            // A check that fails is made again: the wait itself goes on, bounded as before.
            noop,
          )
          .finally(() => {
            if (!stopped) timer = lookLater()
          })
      })
    let timer = lookLater()
    return () => {
      stopped = true
      this.#clock.clearTimer(timer)
    }
  }

  /** Of the waits in a circle the one with the greatest id gives way; each of them finds that out by itself. */
  async #mustGiveWay(id: string): Promise<boolean> {
    const rows = await this.#ask(new Statement({ text: waitsSql }), Deadline.after(askMs, this.#clock))
    const elsewhere = remoteWaits(rows)
    const inside = this.#inside.all
    // The server knows for which of its keys a call waits, and whether it still does; the process, what else it holds up.
    const isWaiting = (wait: LockWait): boolean =>
      elsewhere.some((one) => one.id === wait.id && one.waitsFor === wait.waitsFor)
    const onServer = this.#onServer.all.filter(isWaiting)
    const own = new Set([...inside, ...this.#onServer.all].map((wait) => wait.id))
    const all = [...inside, ...onServer, ...elsewhere.filter((wait) => !own.has(wait.id))]
    const mine = all.find((wait) => wait.id === id)
    const circle = mine === undefined ? undefined : circleOf(mine, all)
    return circle?.every((wait) => wait.id <= id) ?? false
  }
}

function newId(): string {
  return randomBytes(8).toString('hex')
}
