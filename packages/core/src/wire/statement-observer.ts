import type { Operation } from './operation.js'

/** Told what becomes of the statements of a connection. */
export interface StatementObserver<Connection> {
  /**
   * A statement is asked for, in the context of whoever asks, or of whoever has made room for it: see `Operation.caller`.
   *
   * @returns a mark, handed back with the answer
   */
  asked(statement: Operation, connection: Connection): number
  /**
   * Its caller has been answered.
   *
   * @param error undefined when it succeeded
   * @param durationMs since it was written to the socket; undefined when it never was
   */
  answered(
    statement: Operation,
    connection: Connection,
    mark: number,
    error: unknown,
    durationMs: number | undefined,
  ): void
  /** The server answered a statement whose caller had given up before. */
  answeredLate(): void
}
