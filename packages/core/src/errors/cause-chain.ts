/** Deep enough for every ORM seen, and an end to a chain that bites its tail. */
const deepest = 8

/**
 * A field of what somebody threw: undefined also where reading it throws. A callback may throw anything, an object with
 * getters or a Proxy that is revoked among it, and what cannot be read says nothing.
 */
export function fieldOf(thrown: object, name: string): unknown {
  try {
    return (thrown as Readonly<Record<string, unknown>>)[name]
  } catch {
    return undefined
  }
}

/**
 * An error and what it says it was caused by, outermost first, wherever an ORM put it: at `cause`, or in Prisma's
 * errors at `meta.driverAdapterError`.
 */
export function causeChain(error: unknown): object[] {
  const chain: object[] = []
  let current = error
  while (typeof current === 'object' && current !== null && chain.length < deepest) {
    chain.push(current)
    const meta = fieldOf(current, 'meta')
    const ofDriver = typeof meta === 'object' && meta !== null ? fieldOf(meta, 'driverAdapterError') : undefined
    current = ofDriver ?? fieldOf(current, 'cause')
  }
  return chain
}
