/**
 * `instanceof` for what a callback has thrown, which may be anything: of a Proxy that is revoked, the question itself
 * throws.
 */
export function isInstance<T>(value: unknown, of: abstract new (...args: never[]) => T): value is T {
  try {
    return value instanceof of
  } catch {
    return false
  }
}
