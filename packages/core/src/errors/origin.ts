import { LifeguardError } from './lifeguard-error.js'
import { causeChain } from './sqlstate.js'

/** Where the server checks whether the columns of a prepared statement are still what they were. */
const revalidation = 'RevalidateCachedQuery'

/** Errors over a statement that this library had prepared by itself: not to be known by the error alone. */
const marked = new WeakSet<object>()

interface ServerFields {
  readonly code?: unknown
  readonly routine?: unknown
}

/**
 * Whether Bind failed because the session does not have the prepared statement any more (26000: DISCARD ALL or
 * DEALLOCATE was run, or a pooler lent another session), or because its columns have changed with the schema (0A000).
 */
export function isStalePlan(error: unknown): boolean {
  const { code, routine } = (error ?? {}) as ServerFields
  return code === '26000' || (code === '0A000' && routine === revalidation)
}

/**
 * Whether Bind may have failed over the types of the parameters: those are found out when a statement is prepared, and
 * stay what they were when a column gets another type. A value may be none of the old type (class 22), or the statement
 * make no sense with it any more (class 42).
 */
export function mayBeStaleTypes(error: unknown): boolean {
  const { code } = (error ?? {}) as ServerFields
  return typeof code === 'string' && (code.startsWith('22') || code.startsWith('42'))
}

/** Whether the name is taken in the session, by somebody who shares it: 42P05, duplicate_prepared_statement. */
export function isNameTaken(error: unknown): boolean {
  return ((error ?? {}) as ServerFields).code === '42P05'
}

/** Notes that the transaction failed over a plan of ours: nothing is wrong with the statement, and it is prepared anew. */
export function markStalePlan(error: object): void {
  marked.add(error)
}

/** Whether it was noted. The same codes in answer to an EXECUTE of the caller's own are the caller's. */
export function isMarkedStalePlan(error: object): boolean {
  return marked.has(error)
}

/**
 * Whose error it is: of the pool (by its environment, of which each pool has one) whose connection or server produced it.
 * By the identity of the object, as its `code` can be anybody's: a socket of the caller's, another database, another pool.
 */
const owners = new WeakMap<object, Owner>()

/** Errors of statements that their session has survived: whatever their SQLSTATE says, the server is there and answered. */
const survived = new WeakSet<object>()

/** Errors of what was configured, which say nothing of that themselves. */
const misconfigured = new WeakSet<object>()

/** The environment of a pool, as whose its errors are noted. */
interface Owner {
  readonly poolName?: string | undefined
}

/**
 * Notes which pool an error comes from, unless that is known: the first to note it is the one that produced it. One of this
 * library's own then says so: `pool`, and `server` where it is about one.
 */
export function markOwn(error: unknown, owner: Owner | undefined, server?: string): void {
  if (owner === undefined || typeof error !== 'object' || error === null) return
  if (!owners.has(error)) owners.set(error, owner)
  if (!LifeguardError.isInstance(error) || owners.get(error) !== owner || !Object.isExtensible(error)) return
  if (error.pool === undefined && owner.poolName !== undefined) say(error, 'pool', owner.poolName)
  if (error.server === undefined && server !== undefined) say(error, 'server', server)
}

function say(error: LifeguardError, name: 'pool' | 'server', value: string): void {
  Object.defineProperty(error, name, { value, enumerable: true, configurable: true, writable: true })
}

/** The same error, noted: for a `throw` or a `reject`. */
export function ownedBy<E>(error: E, owner: Owner, server?: string): E {
  markOwn(error, owner, server)
  return error
}

/**
 * The same for what came of asking a pool for something: if that is an error of this library's own, the pool has made it.
 * Any other may be of the values that were to be sent.
 */
export function notedBy<E>(error: E, owner: Owner | undefined, server?: string): E {
  if (LifeguardError.isInstance(error)) markOwn(error, owner, server)
  return error
}

/** Notes that the session went on after this error. */
export function markSurvived(error: object): void {
  survived.add(error)
}

/** Whether that was noted. */
export function isSurvived(error: object): boolean {
  return survived.has(error)
}

/** Notes that the same would come of every attempt to connect. */
export function markMisconfigured(error: unknown): void {
  if (typeof error === 'object' && error !== null) misconfigured.add(error)
}

/** Whether that was noted. */
export function isMarkedMisconfigured(error: unknown): boolean {
  return typeof error === 'object' && error !== null && misconfigured.has(error)
}

/**
 * An adapter has put what an error says into an object of another form: whose error it is, whether its session lives,
 * and whether a plan of the pool's was stale, holds for that object, too. For adapters. @internal
 */
export function inheritOrigin(derived: object, error: object): void {
  const owner = owners.get(error)
  if (owner !== undefined) markOwn(derived, owner)
  if (survived.has(error)) survived.add(derived)
  if (isMarkedStalePlan(error)) markStalePlan(derived)
}

/**
 * The first in the chain of causes of which it is known whose it is; undefined when that is another pool, or when there
 * is none.
 *
 * @param isOurs says of an error that nobody has noted whether it counts as this pool's all the same
 */
export function ownPart(error: unknown, owner: object, isOurs: (one: object) => boolean): object | undefined {
  for (const one of causeChain(error)) {
    const by = owners.get(one)
    if (by !== undefined) return by === owner ? one : undefined
    if (isOurs(one)) return one
  }
  return undefined
}
