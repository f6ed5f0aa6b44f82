/** The ways to sell, in the order in which they are shown; the files in ways/ have the same names. */
export const wayNames = ['naive', 'for-update', 'lock', 'serializable', 'optimistic'] as const

export type WayName = (typeof wayNames)[number]
