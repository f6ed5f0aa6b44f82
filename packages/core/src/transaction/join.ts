import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import { TransactionClosedError } from '../errors/transaction-errors.js'
import type { OpenTransaction } from './context.js'
import type { BeginOptions } from './options.js'

/**
 * The error of code that still runs inside of a transaction that is over. When that is because its connection was lost,
 * the cause says so, and `classify` with it.
 */
export function endedError({ server }: OpenTransaction): TransactionClosedError {
  const cause = server.isOver ? server.closedError().cause : undefined
  return new TransactionClosedError(
    'the transaction around this code has ended',
    cause === undefined ? undefined : { cause },
  )
}

/** A nested transaction has the isolation, role and settings of the outermost; it must not ask for others in silence. */
export function assertFits(options: BeginOptions, outer: OpenTransaction): void {
  const asked = [
    'isolation',
    'readOnly',
    'deferrable',
    'role',
    'locks',
    'settings',
    'statementTimeoutMs',
    'lockTimeoutMs',
    'idleTimeoutMs',
  ] as const
  for (const name of asked) {
    const value = options[name]
    const open = outer.begun[name]
    if (value === undefined || effective(value) === effective(open)) continue
    throw new InvalidArgumentError(
      name,
      show(value),
      `in a nested transaction only what the outermost one was begun with (${open === undefined ? 'not set' : show(open)})`,
    )
  }
}

/** PostgreSQL's lowest level is 'read committed', also for who asks for less. */
function effective(value: unknown): unknown {
  return value === 'read uncommitted' ? 'read committed' : value
}

/** As JSON, which has no bigint of its own: keys of locks may be that. */
function show(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) => (typeof part === 'bigint' ? `${part}n` : part))
}
