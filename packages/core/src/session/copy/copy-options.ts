import type { OperationOptions } from '../../base/limit.js'

/** How far a COPY has come. */
export interface CopyProgress {
  /** Bytes of data so far. */
  readonly bytes: number
  /** Rows so far; of `copyFrom` with bytes, which are not looked into, 0. */
  readonly rows: number
}

/** What can be said about a COPY. */
export interface CopyOptions extends OperationOptions {
  /**
   * Called with how far it is, for every piece that is sent or received. What it throws, or rejects with, becomes a warning
   * of the process, and leaves the COPY alone.
   */
  readonly onProgress?: ((progress: CopyProgress) => unknown) | undefined
}
