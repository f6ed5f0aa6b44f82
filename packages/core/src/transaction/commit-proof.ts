import { randomUUID } from 'node:crypto'
import type { Prelude } from '../connection/operation.js'
import type { Clock } from '../deadline/clock.js'
import { Deadline, sleep } from '../deadline/deadline.js'
import { classify, isInfrastructureError } from '../errors/classify.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import { urgent } from '../resource-pool/wait-queue.js'
import type { Server } from '../server/server.js'
import { quoteName } from '../sql/quote.js'

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
   * How long to look for a server that knows, in milliseconds; then CommitUnknownError.
   *
   * @default 10000
   */
  readonly timeoutMs?: number | undefined
}

const defaultTimeoutMs = 10_000
/** Between two questions about a transaction that is still in progress, or at a server that is not there yet. */
const pollMs = 50
/** How often a transaction may still be seen in progress before its session is ended. */
const attemptsBeforeEnding = 3

/** The outcome of a COMMIT, once it could be proven. */
export type ProvenOutcome = 'committed' | 'aborted' | 'unknown'

/** What was known of the transaction before COMMIT was sent; all of it as text. */
interface Evidence {
  readonly xid: string
  readonly system: string
  readonly timeline: string
  readonly pid: string
  /** Position in the log of the last checkpoint. */
  readonly checkpoint: string
  /** When the server's statistics began: anew with each recovery from a crash. */
  readonly statistics: string
}

const statisticsSql = 'extract(epoch from pg_catalog.pg_stat_get_bgwriter_stat_reset_time())::pg_catalog.text'

const evidenceSql = `
  select pg_catalog.pg_current_xact_id()::pg_catalog.text,
    (select system_identifier::pg_catalog.text from pg_catalog.pg_control_system()),
    pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8),
    pg_catalog.pg_backend_pid()::pg_catalog.text,
    (select checkpoint_lsn::pg_catalog.text from pg_catalog.pg_control_checkpoint()), ${statisticsSql}`

/** Whether a session is the one with this process id that has the transaction $1 open. */
function ownSessionSql(pid: string): string {
  return `pid OPERATOR(pg_catalog.=) ${pid}::pg_catalog.int4
    and backend_xid OPERATOR(pg_catalog.=) $1::pg_catalog.xid8::pg_catalog.xid`
}

/** A part of the id that the next transaction gets, which is written as epoch and number with a colon between. */
function nextXidPart(part: 1 | 2): string {
  return `pg_catalog.split_part(next_xid, ':', ${part})::pg_catalog.numeric`
}

/**
 * All in one statement, so that all of it is about the same server. `status` is that of whoever has the id today, and
 * null for one that is too old to be known; `pending` when nobody with this id has ended.
 */
const outcomeSql = `
  select system, standby, timeline, knows, pending, open,
    case when knows and not pending then pg_catalog.pg_xact_status($1::pg_catalog.xid8) end as status,
    (checkpoint OPERATOR(pg_catalog.=) $5::pg_catalog.text) or (statistics OPERATOR(pg_catalog.=) $6::pg_catalog.text)
      as unbroken, recovered,
    ((${nextXidPart(1)} OPERATOR(pg_catalog.*) 4294967296::pg_catalog.numeric)
      OPERATOR(pg_catalog.+) ${nextXidPart(2)})::pg_catalog.text::pg_catalog.xid8
      OPERATOR(pg_catalog.>) $1::pg_catalog.xid8 as durable
  from (
    select *, not standby and (system OPERATOR(pg_catalog.=) $2::pg_catalog.text)
        and (timeline OPERATOR(pg_catalog.=) $3::pg_catalog.text) as knows,
      $1::pg_catalog.xid8 OPERATOR(pg_catalog.>=) pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
        as pending
    from (
      select system_identifier::pg_catalog.text as system, pg_catalog.pg_is_in_recovery() as standby,
        case when not pg_catalog.pg_is_in_recovery()
          then pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8) end as timeline,
        exists (select from pg_catalog.pg_stat_activity where ${ownSessionSql('$4')}) as open,
        checkpoint_lsn::pg_catalog.text as checkpoint, next_xid, ${statisticsSql} as statistics,
        (checkpoint_lsn OPERATOR(pg_catalog.=) redo_lsn)
          and (pg_catalog.pg_stat_get_bgwriter_stat_reset_time()
            OPERATOR(pg_catalog.>=) pg_catalog.pg_postmaster_start_time()) as recovered
      from pg_catalog.pg_control_system(), pg_catalog.pg_control_checkpoint()
    ) server
  ) server`

interface OutcomeRow {
  readonly system: string
  readonly standby: boolean
  readonly timeline: string | null
  /** Whether this is a primary on the same system and timeline. */
  readonly knows: boolean
  /** Whether nobody with this id has ended: it runs, or a crash has taken the id back. */
  readonly pending: boolean
  /** Whether the very session has the transaction open still. */
  readonly open: boolean
  readonly status: 'committed' | 'aborted' | 'in progress' | null
  /** Whether the server has certainly not crashed since the transaction began. */
  readonly unbroken: boolean
  /** Whether its last checkpoint is the one at the end of its recovery from the crash. */
  readonly recovered: boolean
  /** Whether that checkpoint knew the id to be in use: then it is the transaction's own, and was not given out again. */
  readonly durable: boolean
}

/** Ends the session that the transaction is still open in. It has lost its client, and would wait for it for ever. */
const endSessionSql = `select pg_catalog.pg_terminate_backend(pid) from pg_catalog.pg_stat_activity where ${ownSessionSql('$2')}`

/**
 * The proof of one transaction: its id is asked for as it begins, in the same round trip, and looked up should the
 * answer to COMMIT be lost.
 *
 * A transaction id proves something only on the system and the timeline it was drawn on: after a promotion the new
 * primary may have given the same number to another transaction. There a marker row decides, which is there if and only
 * if the transaction is. https://www.postgresql.org/docs/18/functions-info.html#FUNCTIONS-PG-SNAPSHOT
 *
 * A crash does the same on a small scale: an id of which nothing had reached the disk is given out again, and its
 * 'committed' is a stranger's. The checkpoint at the end of the recovery shows which ids had reached it, for as long as it is
 * the last one; after several crashes in a row only a marker row proves it.
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
      throw new InvalidArgumentError('proveCommit.timeoutMs', String(timeoutMs), 'a number of milliseconds, 0 or more')
    }
    this.#clock = clock
    this.#timeoutMs = timeoutMs
    this.#markerTable = markerTable === undefined ? undefined : quoteName(markerTable)
  }

  /** What goes ahead of the first statement. */
  preludes(): Prelude[] {
    const evidence: Prelude = {
      text: evidenceSql,
      onRow: (columns) => {
        const [xid, system, timeline, pid, checkpoint, statistics = null] = columns.map((column) => column ?? '')
        if (xid && system && timeline && pid && checkpoint && statistics !== null) {
          this.#evidence = { xid, system, timeline, pid, checkpoint, statistics }
        }
      },
    }
    if (this.#markerTable === undefined) return [evidence]
    return [evidence, { text: `insert into ${this.#markerTable} (id) values ($1)`, values: [this.#marker] }]
  }

  /** Finds out, on new connections, what became of the COMMIT; `unknown` when that cannot be known in time. */
  async resolve(server: Server): Promise<ProvenOutcome> {
    const evidence = this.#evidence
    if (evidence === undefined) return 'unknown'
    const deadline = Deadline.after(this.#timeoutMs, this.#clock)
    let missing = 0
    for (let attempt = 1; ; attempt++) {
      const found = await this.#ask(server, evidence, attempt, deadline)
      missing = found === 'missing' ? missing + 1 : 0
      // Seen twice, so that the transaction cannot have ended between the two halves of one question.
      if (missing === 2) return 'aborted'
      if (found !== 'again' && found !== 'missing') return found
      if ((await sleep(pollMs, this.#clock, deadline)) !== undefined) return 'unknown'
    }
  }

  /** `missing`: the session is gone, and nobody with this id has ended. */
  async #ask(
    server: Server,
    evidence: Evidence,
    attempt: number,
    deadline: Deadline,
  ): Promise<ProvenOutcome | 'again' | 'missing'> {
    const { xid, system, timeline, pid, checkpoint, statistics } = evidence
    try {
      const values = [xid, system, timeline, pid, checkpoint, statistics]
      const { rows } = await server.query({ text: outcomeSql, values }, deadline, urgent)
      const [found] = rows as unknown as OutcomeRow[]
      if (found === undefined) throw new Error('bug: no row about the server')
      if (found.system !== system) return 'unknown'
      // A standby does not know yet: it may be promoted, or the primary may come back.
      if (found.standby) return 'again'
      if (!found.knows) return await this.#byMarker(server, deadline)
      if (found.open) {
        // A COMMIT that is on its way gets a moment to end by itself.
        if (attempt > attemptsBeforeEnding)
          await server.query({ text: endSessionSql, values: [xid, pid] }, deadline, urgent)
        return 'again'
      }
      if (found.pending || found.status === 'in progress') return 'missing'
      if (found.status !== 'committed' || found.unbroken) return found.status ?? 'unknown'
      return await this.#afterCrash(found, server, deadline)
    } catch (error) {
      // No server, or no place in the pool: again for as long as there is time. Anything else stays as it is.
      return isInfrastructureError(error) || classify(error) === 'cancelled' ? 'again' : 'unknown'
    }
  }

  /** Somebody with this id has committed. The session is gone with the crash, so that what is found now is final. */
  async #afterCrash({ recovered, durable }: OutcomeRow, server: Server, deadline: Deadline): Promise<ProvenOutcome> {
    if (this.#markerTable !== undefined) return await this.#byMarker(server, deadline)
    if (!recovered) return 'unknown'
    return durable ? 'committed' : 'aborted'
  }

  async #byMarker(server: Server, deadline: Deadline): Promise<ProvenOutcome> {
    if (this.#markerTable === undefined) return 'unknown'
    const text = `select 1 from ${this.#markerTable} where id OPERATOR(pg_catalog.=) $1`
    const { rows } = await server.query({ text, values: [this.#marker] }, deadline, urgent)
    return rows.length === 1 ? 'committed' : 'aborted'
  }
}
