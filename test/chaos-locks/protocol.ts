/** What a contender does: storm (locks with fenced writes), a semaphore, or an election. */
export type Role = 'storm' | 'semaphore' | 'election'

/** What a process of the chaos is to do. */
export interface Order {
  readonly role: Role
  readonly who: number
  readonly url: string
  readonly seed: number
  readonly keys: number
  readonly heartbeatMs: number
}

/** What it says. Times are those of the machine's monotonic clock, in milliseconds, which all processes share. */
export type Report =
  | { readonly kind: 'granted'; readonly hold: string; readonly key: string; readonly xid: string; readonly at: number }
  | { readonly kind: 'over'; readonly hold: string; readonly at: number }
  | { readonly kind: 'failed'; readonly code: string }
  | { readonly kind: 'refused' }
  | { readonly kind: 'bug'; readonly what: string }
