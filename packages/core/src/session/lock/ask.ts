import type { Limit } from '../../base/limit.js'

/** Runs a query of the library's own on whatever session is free for it. */
export type Ask = (text: string, values: readonly unknown[], limit: Limit) => Promise<readonly unknown[]>
