/**
 * What code of a user's threw, as an error: it may have thrown null, or a text, which are no errors to whoever looks for
 * one. What is an object stays what it is.
 */
export function thrownError(thrown: unknown): Error {
  if ((typeof thrown === 'object' && thrown !== null) || typeof thrown === 'function') return thrown as Error
  return new Error(`what was thrown is no error: ${String(thrown)}`, { cause: thrown })
}
