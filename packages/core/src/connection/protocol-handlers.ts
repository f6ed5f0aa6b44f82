import type { Operation, Wire } from './operation.js'
import type { CommandCompleteMessage, DataRowMessage, RowDescriptionMessage, WireConnection } from './pg-internals.js'

/** The transaction status that the server reports with every answer: idle, in a transaction, in a failed one. */
export type TransactionStatus = 'I' | 'T' | 'E'

/** Who gets the answers of the server. */
export interface ResponseHandler {
  /** The operation that is being answered; undefined for none, or while a submittable has the connection. */
  readonly head: Operation | undefined
  readonly wire: Wire
  /** The server has said that something failed, whoever it was for. */
  said(error: Error): void
  ready(status: TransactionStatus): void
  /** A command was done, in the words of the server. */
  done(tag: string): void
}

/** A piece of a COPY, a view into the parser's buffer. */
interface CopyDataMessage {
  readonly chunk: Buffer
}

type Listener = (message: never) => void

/**
 * Puts the operations of a connection in the place of `pg`'s queue of queries: their answers go straight to them. While
 * there is none, `pg` gets the messages as before: its own queries, cursors and COPY streams work on the same client,
 * and what the server says of its own accord is heard.
 */
export function installProtocolHandlers(protocol: WireConnection, responses: ResponseHandler): void {
  const { wire } = responses
  const { cache } = wire
  // Among those of `pg`, for what submittables do.
  protocol.on('commandComplete', ({ text }: CommandCompleteMessage) => {
    cache.done(text, cache.submittableText)
    responses.done(text)
  })
  protocol.on('errorMessage', () => cache.failed(cache.submittableText))
  const take = <M>(event: string, handle: (head: Operation, message: M) => void): void => {
    const theirs = protocol.listeners(event) as Listener[]
    protocol.removeAllListeners(event)
    protocol.on(event, (message: M) => {
      const { head } = responses
      if (head !== undefined) handle(head, message)
      else for (const listener of theirs) listener(message as never)
    })
  }
  take('parseComplete', (head) => head.handleParseComplete(wire))
  take('bindComplete', (head) => head.handleBindComplete())
  take<RowDescriptionMessage>('rowDescription', (head, message) => head.handleRowDescription(message))
  take('noData', (head) => head.handleNoData())
  take<DataRowMessage>('dataRow', (head, { fields }) => head.handleDataRow(fields))
  take<CommandCompleteMessage>('commandComplete', (head, message) => {
    cache.done(message.text, head.answering)
    responses.done(message.text)
    head.handleCommandComplete(message)
  })
  take('emptyQuery', (head) => head.handleEmptyQuery())
  take('portalSuspended', (head) => {
    // It may never be read to its end.
    cache.done('SELECT', head.answering)
    head.handlePortalSuspended()
  })
  take('copyInResponse', (head) => head.handleCopyInResponse(wire))
  take<CopyDataMessage>('copyData', (head, { chunk }) => head.handleCopyData(chunk))
  take<Error>('errorMessage', (head, error) => {
    cache.failed(head.answering)
    head.handleError(error, wire)
  })
  // Before anybody else sees it.
  protocol.prependListener('errorMessage', (error: Error) => responses.said(error))
  const theirs = protocol.listeners('readyForQuery') as Listener[]
  protocol.removeAllListeners('readyForQuery')
  protocol.on('readyForQuery', (message: { readonly status: TransactionStatus }) => {
    // The answer to a submittable ends at `pg` first, which can then take its next query.
    if (responses.head === undefined) for (const listener of theirs) listener(message as never)
    cache.ready(message.status !== 'I')
    responses.ready(message.status)
  })
}
