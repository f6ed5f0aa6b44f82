import { randomUUID } from 'node:crypto'
import type { Clock } from '../base/clock.js'
import type { Limit } from '../base/limit.js'
import { sleep } from '../base/sleep.js'
import { classify } from '../errors/classify.js'
import { InvalidOptionError } from '../errors/invalid-option-error.js'
import type { Host } from '../host/host.js'
import type { Prelude } from '../wire/statement.js'
import { quoteName } from './quote-name.js'

/** How the outcome of a COMMIT is found out when its answer is lost. */
export interface CommitProofOptions {
  /**
   * A table that a marker row of each transaction is written to: `create table lifeguard_commit (id uuid primary key,
   * at timestamptz not null default now())`. Needed to know the outcome across a promotion, where transaction ids of
   * the two servers mean different things.
   *
   * @default undefined (an outcome lost in a promotion stays unknown)
   */
  readonly markerTable?: string | undefined
  /**
   * How long to look for a server that can tell, in milliseconds; then CommitUnknownError.
   *
   * @default 10000
   */
  readonly timeoutMs?: number | undefined
}

const defaultTimeoutMs = 10_000
/** Between two looks at a transaction that is still in progress, or at a server that is not there yet. */
const pollMs = 50
/** How often a transaction may still be seen in progress before its session is ended. */
const looksBeforeEnding = 3

/** The outcome of a COMMIT, once it could be proven. */
export type ProvenOutcome = 'committed' | 'aborted' | 'unknown'

/** What was known of the transaction before COMMIT was sent. */
interface Evidence {
  readonly xid: string
  readonly system: string
  readonly timeline: string
}

const evidenceSql =
  'select pg_current_xact_id()::text, (select system_identifier::text from pg_control_system()), left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)'

/** All in one statement, so that all of it is about the same server. */
const outcomeSql = `
  select system, standby, timeline, case when system = $2 and timeline = $3 then pg_xact_status($1::xid8) end as status
  from (
    select system_identifier::text as system, pg_is_in_recovery() as standby,
      case when not pg_is_in_recovery() then left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) end as timeline
    from pg_control_system()
  ) server`

interface OutcomeRow {
  readonly system: string
  readonly standby: boolean
  readonly timeline: string | null
  readonly status: 'committed' | 'aborted' | 'in progress' | null
}

/** Ends the session that the transaction is still open in. It has lost its client, and would wait for it for ever. */
const endSessionSql = 'select pg_terminate_backend(pid) from pg_stat_activity where backend_xid = $1::xid8::xid'

/**
 * The proof of one transaction: its id is asked for as it begins, in the same round trip, and looked up should the
 * answer to COMMIT be lost.
 *
 * A transaction id proves something only on the system and the timeline it was drawn on: after a promotion the new
 * primary may have given the same number to another transaction. There a marker row decides, which is there if and only
 * if the transaction is. https://www.postgresql.org/docs/18/functions-info.html#FUNCTIONS-PG-SNAPSHOT
 */
export class CommitProof {
  readonly #clock: Clock
  readonly #timeoutMs: number
  readonly #markerTable: string | undefined
  readonly #marker = randomUUID()
  #evidence: Evidence | undefined

  constructor(options: CommitProofOptions, clock: Clock) {
    const { timeoutMs = defaultTimeoutMs, markerTable } = options
    if (!(typeof timeoutMs === 'number' && timeoutMs >= 0)) {
      throw new InvalidOptionError('proveCommit.timeoutMs', String(timeoutMs), 'a number of milliseconds, 0 or more')
    }
    this.#clock = clock
    this.#timeoutMs = timeoutMs
    this.#markerTable = markerTable === undefined ? undefined : quoteName(markerTable)
  }

  /** What goes ahead of the first statement. */
  preludes(): Prelude[] {
    const evidence: Prelude = {
      text: evidenceSql,
      onRow: ([xid, system, timeline]) => {
        if (xid != null && system != null && timeline != null) this.#evidence = { xid, system, timeline }
      },
    }
    if (this.#markerTable === undefined) return [evidence]
    return [evidence, { text: `insert into ${this.#markerTable} (id) values ($1)`, values: [this.#marker] }]
  }

  /** Finds out, on new connections, what became of the COMMIT; `unknown` when that cannot be known in time. */
  async resolve(host: Host): Promise<ProvenOutcome> {
    const evidence = this.#evidence
    if (evidence === undefined) return 'unknown'
    const limit: Limit = {
      deadlineAt: this.#clock.now() + this.#timeoutMs,
      timeoutMs: this.#timeoutMs,
      signal: undefined,
    }
    for (let looks = 1; ; looks++) {
      const found = await this.#look(host, evidence, looks, limit)
      if (found !== 'again') return found
      if ((await sleep(pollMs, this.#clock, limit)) !== undefined) return 'unknown'
    }
  }

  async #look(
    host: Host,
    { xid, system, timeline }: Evidence,
    looks: number,
    limit: Limit,
  ): Promise<ProvenOutcome | 'again'> {
    try {
      const { rows } = await host.query({ text: outcomeSql, values: [xid, system, timeline] }, limit, undefined)
      const [server] = rows as unknown as OutcomeRow[]
      if (server === undefined) throw new Error('bug: no row about the server')
      if (server.system !== system) return 'unknown'
      // A standby does not know yet: it may be promoted, or the primary may come back.
      if (server.standby) return 'again'
      if (server.timeline !== timeline) return await this.#byMarker(host, limit)
      if (server.status !== 'in progress') return server.status ?? 'unknown'
      // A COMMIT that is on its way gets a moment to end by itself.
      if (looks > looksBeforeEnding) await host.query({ text: endSessionSql, values: [xid] }, limit, undefined)
      return 'again'
    } catch (error) {
      const kind = classify(error)
      return kind === 'connection' || kind === 'topology' || kind === 'unavailable' ? 'again' : 'unknown'
    }
  }

  async #byMarker(host: Host, limit: Limit): Promise<ProvenOutcome> {
    if (this.#markerTable === undefined) return 'unknown'
    const text = `select 1 from ${this.#markerTable} where id = $1`
    const { rows } = await host.query({ text, values: [this.#marker] }, limit, undefined)
    return rows.length === 1 ? 'committed' : 'aborted'
  }
}
