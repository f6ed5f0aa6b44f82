/**
 * How a pool is ended.
 *
 * - `'gracefully'`: what was begun or waits is finished, for `timeoutMs` at most; then as `'fast'`.
 * - `'fast'`: whoever waits is rejected, and every connection is torn down: what runs on it is cancelled.
 *
 * Either way `end` settles: tearing down takes a second at most where the server does not answer.
 */
export type EndOptions =
  | {
      /** @default 'gracefully' */
      readonly mode?: 'gracefully' | undefined
      /**
       * How long to wait for connections that are in use, in milliseconds; then they are torn down, and who still waits
       * is rejected. `0` does not wait at all.
       *
       * @default 10000
       */
      readonly timeoutMs?: number | undefined
    }
  | { readonly mode: 'fast'; readonly timeoutMs?: never }

/** How long `end` waits where nobody says how long. */
export const defaultEndMs = 10_000
