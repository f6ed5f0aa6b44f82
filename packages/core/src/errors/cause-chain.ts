/** Deep enough for every ORM seen, and an end to a chain that bites its tail. */
const deepest = 8

interface MaybeCaused {
  readonly cause?: unknown
  readonly meta?: { readonly driverAdapterError?: unknown } | undefined
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
    const { cause, meta } = current as MaybeCaused
    current = meta?.driverAdapterError ?? cause
  }
  return chain
}
