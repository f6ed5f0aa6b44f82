/** Where the server looks whether the columns of a prepared statement are still what they were. */
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
