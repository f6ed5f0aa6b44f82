import { LifeguardError } from './lifeguard-error.js'

/** Thrown by `createPool` on a runtime that is too old, or whose own functions were taken away. */
export class UnsupportedRuntimeError extends LifeguardError {
  readonly code = 'LIFEGUARD_UNSUPPORTED_RUNTIME'
  readonly retryable = false

  constructor(missing: string) {
    super(`@pg-lifeguard/core needs Node.js 22 or newer, Bun or Deno; this is ${runtime()}, without ${missing}`)
  }
}

/**
 * Whether this runtime has what the core is built on. Runs itself on what came before.
 *
 * @throws UnsupportedRuntimeError when it has not
 */
export function assertRuntime(): void {
  const { withResolvers } = Promise as { readonly withResolvers?: unknown }
  if (typeof withResolvers !== 'function') throw new UnsupportedRuntimeError('Promise.withResolvers')
}

function runtime(): string {
  const { bun, deno, node } = process.versions
  if (bun !== undefined) return `Bun ${bun}`
  return deno === undefined ? `Node.js ${node}` : `Deno ${deno}`
}
