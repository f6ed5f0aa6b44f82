import { mayHoldSeveral } from '../sql/sql-text.js'
import type { Exchange } from './exchange.js'
import { noPreludes, type Operation, type Prelude } from './operation.js'
import type { PortalRequest } from './portal.js'
import { Statement, type StatementConfig } from './statement.js'
import type { SubmittableAdapter } from './submittable.js'

/**
 * What can be asked of whatever runs statements. The tag is put on where a call enters: what a user has written is always
 * inside of `config`, so that none of its fields is taken for a tag.
 */
export type Command = StatementCommand | StatementWithPreludes | FetchCommand | ExchangeCommand | SubmittableCommand

/** One statement. */
export interface StatementCommand {
  readonly kind: 'statement'
  readonly config: StatementConfig
}

/** A statement that brings preludes of its own, after those that its transaction has for it. */
export interface StatementWithPreludes {
  readonly kind: 'with-preludes'
  readonly config: StatementConfig
  readonly preludes: readonly Prelude[]
  /** What is reported in the place of its text: the preludes are what it is about. */
  readonly label: string
}

/** Fetches the next rows of a statement, or ends that, inside of a transaction. */
export interface FetchCommand {
  readonly kind: 'fetch'
  readonly config: StatementConfig
  readonly portal: PortalRequest
  /** What it brings of its own, after those that its transaction has for it. */
  readonly preludes?: readonly Prelude[] | undefined
}

/** A batch or a COPY. */
export interface ExchangeCommand {
  readonly kind: 'exchange'
  /** Makes the exchange; called once for each connection that it is tried on. */
  readonly exchange: (preludes: readonly Prelude[]) => Exchange<unknown>
}

/** An object with `submit()`, on the connection of a transaction. */
export interface SubmittableCommand {
  readonly kind: 'submittable'
  readonly adapter: SubmittableAdapter
}

/** What runs on a connection for this command, with the preludes of its transaction. */
export function operationFor(command: Command, preludes: readonly Prelude[] = noPreludes): Operation {
  switch (command.kind) {
    case 'statement':
      return new Statement(command.config, preludes)
    case 'with-preludes': {
      const statement = new Statement(command.config, [...preludes, ...command.preludes])
      statement.label = command.label
      return statement
    }
    case 'fetch': {
      const { preludes: own } = command
      return new Statement(command.config, own === undefined ? preludes : [...preludes, ...own], command.portal)
    }
    case 'exchange':
      return command.exchange(preludes)
    case 'submittable':
      if (preludes.length > 0) throw new Error('bug: preludes for an object that writes its own messages')
      return command.adapter
  }
}

/** The SQL text that says what it may do; '' for what is no single statement. */
export function sqlTextOf(command: Command): string {
  switch (command.kind) {
    case 'statement':
    case 'with-preludes':
    case 'fetch':
      return command.config.text
    case 'exchange':
    case 'submittable':
      return ''
  }
}

/**
 * Whether preludes can travel with it in the same round trip: several statements in one text need the simple protocol, and
 * what writes its own messages takes nothing with it.
 */
export function takesPreludes(command: Command): boolean {
  return command.kind !== 'submittable' && !mayHoldSeveral(sqlTextOf(command))
}
