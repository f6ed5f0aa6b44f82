import { isInstance, LifeguardError, type LifeguardErrorCode } from './lifeguard-error.js'
import { isMarkedMisconfigured, isMarkedStalePlan, isSurvived, ownPart } from './origin.js'
import { causeChain, errorWithSqlState, fieldOf, sqlStateAt, sqlStateOf } from './sqlstate.js'

/**
 * What an error asks for. Retry, breaker, router and locks all read this one table; none keeps a list of its own.
 *
 * - `conflict`: the server undid the transaction because of others; run the whole of it again.
 * - `version-conflict`: an optimistic version check failed; read again and try again.
 * - `deadlock`: as `conflict`, by the deadlock detector.
 * - `stale-plan`: what the pool had prepared was dropped or changed with the schema; run the whole transaction again.
 * - `connection`: the session is gone; again on a new connection, only while no COMMIT byte was written.
 * - `unavailable`: the pool waited for the server for as long as it was allowed to; to try again is the caller's choice.
 * - `topology`: this server is not the primary (any more); find the primary, then again.
 * - `overload`: the server is out of a resource; again only when asked for, within the budget.
 * - `contended`: a lock or a key was taken; again only when asked for.
 * - `outcome-unknown`: the server itself does not know whether it committed; never again blindly.
 * - `configuration`: wrong credentials or no such database; waiting does not cure it.
 * - `cancelled`: the work was given up or cancelled, by a timeout or a person.
 * - `server`: the server is damaged (58xxx, XX000); not retried, but a failure of the server.
 * - `user`: the statement was wrong, or the pool was too busy for it; the server is healthy.
 */
export type ErrorClass =
  | 'conflict'
  | 'version-conflict'
  | 'deadlock'
  | 'stale-plan'
  | 'connection'
  | 'unavailable'
  | 'topology'
  | 'overload'
  | 'contended'
  | 'outcome-unknown'
  | 'configuration'
  | 'cancelled'
  | 'server'
  | 'user'

/** When the error arrived: some codes mean another thing while connecting or committing. */
export type Phase = 'connect' | 'statement' | 'commit'

/** SQLSTATE to class; a two-character key stands for a whole class of codes and yields to a full one. */
const table: Readonly<Record<string, ErrorClass>> = {
  // https://www.postgresql.org/docs/18/mvcc-serialization-failure-handling.html
  '40001': 'conflict',
  '40P01': 'deadlock',
  CR000: 'conflict', // CockroachDB: restart transaction
  '40002': 'user', // an integrity constraint: the same again would fail the same
  '40003': 'outcome-unknown',
  '08': 'connection',
  '08007': 'outcome-unknown',
  '08P01': 'user', // protocol_violation: too few values, or one that is none of its type
  '57P01': 'connection', // admin_shutdown
  '57P02': 'connection', // crash_shutdown
  '57P03': 'connection', // cannot_connect_now
  '57P04': 'configuration', // database_dropped
  '57P05': 'connection', // idle_session_timeout
  '57014': 'cancelled',
  '25006': 'topology', // read_only_sql_transaction
  '55P03': 'contended', // lock_not_available
  '23505': 'contended', // unique_violation: manual 13.5.2, with care
  '23P01': 'contended', // exclusion_violation: likewise
  '53': 'overload',
  '28': 'configuration',
  '3D000': 'configuration',
  '58': 'server',
  XX000: 'server',
}

/** Codes of Node's sockets and resolver that mean: no connection, or none any more. */
const socketCodes: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'EADDRNOTAVAIL',
  'ENOENT', // a Unix socket that is not there (yet)
])

/**
 * Our own errors that mean something else than what caused them. The others, ConnectionLostError or
 * TransactionRolledBackError, are what their cause is. By code, so that a second copy of this package is understood.
 */
const ownClasses: Readonly<Partial<Record<LifeguardErrorCode, ErrorClass>>> = {
  LIFEGUARD_INVALID_OPTION: 'configuration',
  LIFEGUARD_VERSION_CONFLICT: 'version-conflict',
  LIFEGUARD_COMMIT_UNKNOWN: 'outcome-unknown',
  LIFEGUARD_SERVER_UNAVAILABLE: 'unavailable',
  LIFEGUARD_LOGIN_FAILED: 'configuration',
  LIFEGUARD_NO_PRIMARY: 'unavailable',
  LIFEGUARD_NOT_ON_REPLICA: 'topology',
  LIFEGUARD_BREAKER_OPEN: 'unavailable',
  LIFEGUARD_ACQUIRE_TIMEOUT: 'user', // a bulkhead, not a server: its cause is only what else went wrong meanwhile
  LIFEGUARD_LOCK_TIMEOUT: 'contended',
  LIFEGUARD_PROTOCOL_VIOLATION: 'server',
  LIFEGUARD_TIMEOUT: 'cancelled',
  LIFEGUARD_ABORTED: 'cancelled',
  LIFEGUARD_UNREADABLE_RESULT: 'user', // it has committed, whatever the parser of its values has thrown
  LIFEGUARD_LOCK_LOST: 'user', // whatever ended its session: the callback has run, and somebody else may have entered
}

/** The class of an error, found through its causes; see {@link ErrorClass}. */
export function classify(error: unknown, phase: Phase = 'statement'): ErrorClass {
  for (const one of causeChain(error)) {
    const own = LifeguardError.isInstance(one) ? ownClasses[one.code] : undefined
    if (own !== undefined) return own
    const state = sqlStateAt(one)
    if (state !== undefined) return classOfServerError(one, state, phase)
  }
  return classOfLocalError(error, phase)
}

/**
 * The same for what a callback has thrown to a helper of a pool. Only what that pool's own connections and servers have
 * said is judged, also where an ORM or the caller has it as the cause of another error. Anything else is the caller's: a
 * socket of its own, a file, another database, another pool.
 */
export function classifyOwn(error: unknown, owner: object): ErrorClass {
  const own = ownPart(error, owner, isOursUnnoted)
  return own === undefined ? 'user' : classify(own)
}

/**
 * The error that {@link classifyOwn} judges by: what a server or a connection of the pool has said, out of all that a
 * callback, an ORM or a helper of ours has put around it; the error itself where there is none.
 */
export function ownCause(error: unknown, owner: object): unknown {
  let found: unknown = ownPart(error, owner, isOursUnnoted)
  while (LifeguardError.isInstance(found) && wrappers.has(found.code) && found.cause !== undefined) found = found.cause
  return found ?? error
}

/** Of our own errors, those that say what followed from something else. */
const wrappers: ReadonlySet<LifeguardErrorCode> = new Set([
  'LIFEGUARD_TRANSACTION_ROLLED_BACK',
  'LIFEGUARD_TRANSACTION_CLOSED',
])

/** Of our own errors that nobody notes, the ones that say what they mean whatever caused them. */
function isOursUnnoted(one: object): boolean {
  if (!LifeguardError.isInstance(one)) return false
  // Made by callers, also with another copy of this package.
  if (one.code === 'LIFEGUARD_VERSION_CONFLICT') return true
  return isInstance(one, LifeguardError) && (ownClasses[one.code] !== undefined || outOfReach.has(one.code))
}

function classOfServerError(error: object, state: string, phase: Phase): ErrorClass {
  if (isMarkedStalePlan(error)) return 'stale-plan'
  if (state === '0A000' && isReadOnlyRefusal(error)) return 'topology'
  if (state === '55000' && isRecoveryRefusal(error)) return 'topology'
  // It ends the session only where the protocol itself is broken: the same again would be the same again.
  if (state === '08P01' && (error as { readonly severity?: unknown }).severity === 'FATAL') return 'server'
  // Of a session that is up it is the answer to a statement: LISTEN on a standby, the question for its role.
  if (phase === 'connect' && !isSurvived(error)) return classAtLogin(state)
  const kind = table[state] ?? table[state.slice(0, 2)] ?? 'user'
  // 08006 of a foreign data wrapper, 57P01 or XX000 of a RAISE, a file that is not there: an answer like any other.
  return phase === 'statement' && ofServer.has(kind) && isSurvived(error) ? 'user' : kind
}

/** Classes that speak of the server as a whole. They do not when the session goes on. */
const ofServer: ReadonlySet<ErrorClass> = new Set(['connection', 'server'])

/** Of what a server says at login, only this goes away by waiting. */
function classAtLogin(state: string): ErrorClass {
  if (state === '53300') return 'connection' // a full server empties again
  return state.startsWith('08') || table[state] === 'connection' ? 'connection' : 'configuration'
}

/** Classes that say that the server could not do its work, as opposed to: did it, and refused. */
const infrastructure: ReadonlySet<ErrorClass> = new Set(['connection', 'unavailable', 'topology', 'overload', 'server'])

/** Errors of the pool's own that mean the same: no connection or no answer could be had in time. */
const outOfReach: ReadonlySet<LifeguardErrorCode> = new Set([
  'LIFEGUARD_TIMEOUT',
  'LIFEGUARD_ACQUIRE_TIMEOUT',
  'LIFEGUARD_QUEUE_FULL',
  'LIFEGUARD_OVERLOADED',
])

/** Whether an error is about the server or the pool, so that the last good answer may stand in; never about the statement. */
export function isInfrastructureError(error: unknown): boolean {
  if (LifeguardError.isInstance(error) && outOfReach.has(error.code)) return true
  return infrastructure.has(classify(error))
}

/** The same for what a callback has thrown to a helper of a pool: see {@link classifyOwn}. */
export function isOwnInfrastructureError(error: unknown, owner: object): boolean {
  // One that is noted by nobody, such as of a breaker that the caller has put around a service, counts by its cause.
  const own = ownPart(error, owner, (one) => isOursUnnoted(one) && !isInfrastructureError(one))
  return own !== undefined && isInfrastructureError(own)
}

/**
 * What a failed read on a replica asks for.
 *
 * - `elsewhere`: the replica is well, but not for this read now: a recovery conflict, or a pool that is too busy. The same
 *   may be read from another server.
 * - `ill`: the replica itself could not be reached or could not do its work. Likewise, and it is noted.
 * - `no`: another server would answer the same.
 */
export function isReadAgain(error: unknown): 'elsewhere' | 'ill' | 'no' {
  if (LifeguardError.isInstance(error) && busy.has(error.code)) return 'elsewhere'
  // Nothing was asked yet: whatever the server said, it said to the login.
  if (isNotSent(error)) return 'ill'
  const kind = classify(error)
  if (kind === 'conflict' || kind === 'deadlock') return 'elsewhere'
  // The replica is there: it could not do this, now.
  if (kind === 'overload' && isOfSurvivor(error)) return 'elsewhere'
  // A password that this server alone refuses is the server's fault, as seen from the others.
  return infrastructure.has(kind) || kind === 'configuration' ? 'ill' : 'no'
}

/** Whether it was lost before a statement was sent: then it could not be opened, or had died in the pool. */
function isNotSent(error: unknown): boolean {
  return LifeguardError.isInstance(error) && error.code === 'LIFEGUARD_CONNECTION_LOST' && error.retryable
}

/** Whether a session has answered with it, and gone on. */
function isOfSurvivor(error: unknown): boolean {
  const found = errorWithSqlState(error)
  return found !== undefined && isSurvived(found.error)
}

/** The pool is too busy; its server may be healthy. */
const busy: ReadonlySet<LifeguardErrorCode> = new Set(['LIFEGUARD_ACQUIRE_TIMEOUT', 'LIFEGUARD_QUEUE_FULL'])

/** Whether the whole transaction may be run again by default: the server has undone it, or never got to commit it. */
export function isRetryableByDefault(kind: ErrorClass): boolean {
  return kind === 'conflict' || kind === 'deadlock' || kind === 'connection' || kind === 'stale-plan'
}

/**
 * Whether an error that came as the answer to COMMIT proves that nothing was committed. Only an ERROR does: after
 * FATAL, PANIC or a lost socket the commit record may have been written. 40003 and 08007 say of themselves that they
 * do not know.
 */
export function provesAbort(error: unknown): boolean {
  const found = errorWithSqlState(error)
  if (found === undefined) return false
  const kind = classOfServerError(found.error, found.state, 'commit')
  return isPlainError(found.error) && kind !== 'outcome-unknown' && kind !== 'connection'
}

/** Whether the server ends the session with this error (severity FATAL or PANIC). */
export function endsSession(error: unknown): boolean {
  const found = errorWithSqlState(error)
  return found !== undefined && !isPlainError(found.error)
}

interface ServerFields {
  readonly severity?: unknown
  readonly routine?: unknown
  readonly message?: unknown
}

/**
 * `pg` exposes only the severity that is translated by lc_messages; FATAL and PANIC are not translated in most
 * languages, and a lost session is also seen at its socket, so that a miss here is not the last line.
 */
function isPlainError(error: object): boolean {
  const { severity } = error as ServerFields
  return severity !== 'FATAL' && severity !== 'PANIC'
}

/**
 * BEGIN READ WRITE on a standby, or a read of an unlogged table, which has no data there: only the routine distinguishes them from
 * other features that are not supported.
 */
function isReadOnlyRefusal(error: object): boolean {
  const { routine } = error as ServerFields
  return (
    routine === 'check_transaction_read_only' ||
    routine === 'check_XactReadOnly' ||
    routine === 'check_transaction_isolation' ||
    routine === 'get_relation_info'
  )
}

/** 'recovery is in progress' (55000) has no routine of its own; its message does not vary but by translation. */
function isRecoveryRefusal(error: object): boolean {
  const { message } = error as ServerFields
  return typeof message === 'string' && message.includes('recovery is in progress')
}

/** No server said anything: the socket, the resolver, TLS, or the code of the caller did. */
function classOfLocalError(error: unknown, phase: Phase): ErrorClass {
  if (isConnectionError(error)) return 'connection'
  if (phase !== 'connect') return 'user'
  if (isMarkedMisconfigured(error) || isEverywhere(error, 'configuration')) return 'configuration'
  return isTlsRefusal(error) || isTlsMisconfigured(error) || isLoginRefusal(error) ? 'configuration' : 'connection'
}

/** What `pg` says of a server that does not prove that it knows the password, or of a password that is none. */
function isLoginRefusal(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('SASL: ')
}

/**
 * Whether a failure to connect may be about how the connection is encrypted, so that the other way is worth a try: TLS
 * failed or is not there, or no line of pg_hba.conf lets this connection in (28000). Not a wrong password.
 */
export function isAboutEncryption(error: unknown): boolean {
  const found = errorWithSqlState(error)
  return found === undefined ? isTlsRefusal(error) : found.state === '28000'
}

/** Whether a statement was refused because its session, or its transaction, is read-only. */
export function isWriteRefused(error: unknown): boolean {
  return sqlStateOf(error) === '25006'
}

/** Whether a server has answered that it has no place for one more session: of anybody, of this role, in this database. */
export function isForWantOfAPlace(error: unknown): boolean {
  // Of several endpoints, one that answers is enough.
  if (error instanceof AggregateError) return error.errors.some(isForWantOfAPlace)
  return sqlStateOf(error) === '53300'
}

/** Whether each of several endpoints failed to connect in this way. */
function isEverywhere(error: unknown, kind: ErrorClass): boolean {
  return (
    isInstance(error, AggregateError) &&
    error.errors.length > 0 &&
    error.errors.every((one) => classify(one, 'connect') === kind)
  )
}

/** A certificate that does not verify, or no TLS on the server: the same at every attempt. */
function isTlsRefusal(error: unknown): boolean {
  if (!isInstance(error, Error)) return false
  const { code } = error as { readonly code?: unknown }
  if (
    typeof code === 'string' &&
    /^(CERT_|CRL_|ERR_TLS_|ERR_SSL_|ERROR_IN_|SELF_SIGNED_|DEPTH_ZERO_|PATH_LENGTH_|UNABLE_TO_)/.test(code)
  )
    return true
  return error.message === 'The server does not support SSL connections'
}

/**
 * What was configured for TLS is of no use: no key, certificate or authority in the text of `ca`, `cert` or `key`, a wrong
 * passphrase, a version that there is not, or no TLS at the other end. https://nodejs.org/api/errors.html#openssl-errors
 */
function isTlsMisconfigured(error: unknown): boolean {
  if (!isInstance(error, Error)) return false
  const { code, library } = error as { readonly code?: unknown; readonly library?: unknown }
  if (
    typeof code === 'string' &&
    /^(ERR_OSSL_|ERR_CRYPTO_|ERR_INVALID_ARG_|EPROTO$|HOSTNAME_MISMATCH$|INVALID_)/.test(code)
  )
    return true
  // Neither yes nor no to TLS, and no error of a server either: see `connection/connect/tls.ts`.
  if (error.message === 'There was an error establishing an SSL connection') return true
  // What OpenSSL says has not always a code: `error:0A00010B:SSL routines::wrong version number`.
  return typeof library === 'string' || /^(?:[0-9A-F]+:)?error:[0-9A-F]{8}:/i.test(error.message)
}

function isConnectionError(error: unknown, seen: Set<object> = new Set()): boolean {
  for (const one of causeChain(error)) {
    if (seen.has(one)) return false
    seen.add(one)
    const code = fieldOf(one, 'code')
    if (code === 'LIFEGUARD_CONNECTION_LOST' || (typeof code === 'string' && socketCodes.has(code))) return true
    // Every address of a host was tried: https://nodejs.org/api/net.html#socketconnectoptions-connectlistener
    const several = isInstance(one, AggregateError) ? fieldOf(one, 'errors') : undefined
    if (Array.isArray(several) && several.some((each) => isConnectionError(each, seen))) return true
  }
  return false
}

/**
 * What the end of a call says of the server that it was made to.
 *
 * - `success`: the server did its work, be it to refuse a wrong statement.
 * - `failure`: it could not be reached, broke off, or is out of a resource.
 * - `slow`: a deadline ended the call, and the server answered to that.
 * - `neutral`: it says nothing of the server: the caller gave up, others were in the way, or the pool was busy.
 */
export type BreakerVerdict = 'success' | 'failure' | 'slow' | 'neutral'

/** By the class that `classify()` gives: the one table of codes stays the one table. */
const byClass: Readonly<Record<ErrorClass, BreakerVerdict>> = {
  connection: 'failure',
  unavailable: 'failure',
  overload: 'failure',
  server: 'failure',
  cancelled: 'slow',
  conflict: 'neutral',
  deadlock: 'neutral',
  'version-conflict': 'neutral',
  topology: 'neutral',
  contended: 'neutral',
  configuration: 'neutral',
  'outcome-unknown': 'neutral',
  'stale-plan': 'success',
  user: 'success',
}

/** Our own errors that say nothing of the server, whatever caused them. */
const neutral: ReadonlySet<LifeguardErrorCode> = new Set([
  'LIFEGUARD_ABORTED',
  'LIFEGUARD_ACQUIRE_TIMEOUT',
  'LIFEGUARD_QUEUE_FULL',
  'LIFEGUARD_OVERLOADED',
  'LIFEGUARD_SELF_DEADLOCK',
  'LIFEGUARD_POOL_CLOSED',
  'LIFEGUARD_BREAKER_OPEN',
])

/** What an error says of the server; `undefined` is a call without an error. See {@link BreakerVerdict}. */
export function breakerVerdict(error: unknown, phase: Phase = 'statement'): BreakerVerdict {
  if (error === undefined) return 'success'
  for (const one of causeChain(error)) {
    if (!LifeguardError.isInstance(one)) break
    if (neutral.has(one.code)) return 'neutral'
    // The server has done its work.
    if (one.code === 'LIFEGUARD_UNREADABLE_RESULT') return 'success'
    if (one.code === 'LIFEGUARD_TIMEOUT') return ofTimeout(one)
    if (one.code === 'LIFEGUARD_COMMIT_UNKNOWN') return breakerVerdict(one.cause ?? null, phase)
    // Nothing was sent: the connection had died before, and that was counted when it did.
    if (one.code === 'LIFEGUARD_CONNECTION_LOST') return one.retryable ? 'neutral' : 'failure'
  }
  const kind = classify(error, phase)
  const found = errorWithSqlState(error)
  // A key that is taken is an answer like any other; a lock that is taken is somebody else's doing.
  if (kind === 'contended') return found?.state.startsWith('23') === true ? 'success' : 'neutral'
  // 08007: the connection broke inside of a commit; 40003: only what came of the statement is not known.
  if (kind === 'outcome-unknown') return found?.state.startsWith('08') === true ? 'failure' : 'neutral'
  // An error that no server has sent, such as one thrown by the caller's own code.
  if (kind === 'user' && found === undefined) return 'neutral'
  // To wait does not cure a login that fails over a full disk or a damaged file, but the server is not healthy.
  if (kind === 'configuration' && phase === 'connect' && found !== undefined && isOfHost(found.state)) return 'failure'
  const verdict = byClass[kind]
  // Out of memory for this statement, or of room for its temporary files: the server is there and answers.
  return verdict === 'failure' && found !== undefined && isSurvived(found.error) ? 'success' : verdict
}

/** Out of a resource, or damaged. */
function isOfHost(state: string): boolean {
  return /^(?:53|58|XX)/.test(state)
}

/** A caller's time was up. What matters is whether the server still answered. */
function ofTimeout(error: object): BreakerVerdict {
  const { outcome } = error as { readonly outcome?: unknown }
  if (outcome === 'unknown') return 'failure'
  return outcome === 'cancelled' ? 'slow' : 'neutral'
}

/**
 * An error without what it may repeat of the data: PostgreSQL puts values into `message` ('invalid input syntax for type
 * integer: "..."') and `detail` ('Key (email)=(...) already exists'). The caller of the statement has the whole error.
 */
export interface ErrorSummary {
  readonly name: string
  /** The SQLSTATE, or the code of Lifeguard or of Node. */
  readonly code: string | undefined
  readonly class: ErrorClass
  /** Only of errors about the connection or the server as a whole, which know nothing of data. */
  readonly message: string | undefined
  /** What a constraint that was violated is called, and its table and schema. */
  readonly constraint: string | undefined
  readonly table: string | undefined
  readonly schema: string | undefined
}

const aboutTheServer: ReadonlySet<ErrorClass> = new Set(['connection', 'unavailable', 'overload', 'configuration'])

/** What may be published of an error. */
export function summaryOf(error: unknown): ErrorSummary {
  const kind = classify(error)
  const found = errorWithSqlState(error)
  const fields = (found?.error ?? {}) as { readonly [field: string]: unknown }
  const { code } = (error ?? {}) as { readonly code?: unknown }
  return {
    name: error instanceof Error ? error.name : typeof error,
    code: found?.state ?? (typeof code === 'string' ? code : undefined),
    class: kind,
    message: error instanceof Error && aboutTheServer.has(kind) ? error.message : undefined,
    constraint: text(fields['constraint']),
    table: text(fields['table']),
    schema: text(fields['schema']),
  }
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
