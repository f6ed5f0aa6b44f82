/** How a call of a pool ended. */
export interface Answer {
  /** The name of the outcome: `ok`, or the code of the error. */
  readonly outcome: string
  readonly tookMs: number
  /** When the call was made and when it was answered, on the clock of `performance.now()`. */
  readonly calledAt: number
  readonly answeredAt: number
  /** Whether a byte of the statement may have reached the server; false when the error says that none did. */
  readonly mayHaveBeenSent: boolean
}

/** A session of a pool that somebody has for himself. */
export interface CheckedOut {
  readonly pid: number
  query(text: string): Promise<unknown>
  release(): void
}

/** A pool that is put to the test. */
export interface Session {
  /** Runs one statement, for a caller that waits so long at most. */
  query(text: string): Promise<unknown>
  checkOut(): Promise<CheckedOut>
  end(): Promise<void>
}

/** How a pool is opened, and what its errors mean. */
export interface Subject {
  readonly name: string
  open(url: string, options: { readonly max: number; readonly timeoutMs: number }): Session
  /** The name of an error, for the table. */
  nameOf(error: unknown): string
  /** Whether the error says that the server has not got a byte of the statement. */
  saysUnsent(error: unknown): boolean
}
