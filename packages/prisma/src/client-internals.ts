import { InvalidArgumentError, type IsolationLevel } from '@pg-lifeguard/core'
import type { Engine } from './asking-client.js'
import { LifeguardAdapter } from './lifeguard-adapter.js'

/** The private side of a client, as far as it is used here: the same in all of Prisma 7, and checked before use. */
interface ClientInternals {
  readonly _engineConfig?: {
    readonly adapter?: unknown
    readonly transactionOptions?: { readonly isolationLevel?: string | undefined }
  }
  readonly _engine?: Partial<Engine>
  readonly _requestHandler?: { readonly [Name in keyof RequestHandler]?: Partial<RequestHandler[Name]> }
}

/** What runs the requests of a client and of all that are made from it. */
export interface RequestHandler {
  readonly dataloader: Loader
  /** Logs the error of a request and throws what the caller gets. */
  handleAndLogRequestError(request: FailedRequest): void
}

/** A request that has failed: what was asked for, and where, as far as Prisma has noted it. */
export interface FailedRequest {
  readonly clientMethod?: unknown
  readonly callsite?: { readonly _error?: { readonly stack?: string } }
}

/** What collects the requests of one tick and sends them together. */
export interface Loader {
  readonly options: LoaderOptions
  request(request: Request): Promise<unknown>
}

export interface LoaderOptions {
  readonly batchLoader: (requests: Request[]) => Promise<unknown[]>
}

interface Request {
  readonly transaction?: { readonly kind?: unknown }
}

/** The adapter that a client was made with, if it is one of ours. */
export function adapterOf(client: object): LifeguardAdapter | undefined {
  const adapter = (client as ClientInternals)._engineConfig?.adapter
  return adapter instanceof LifeguardAdapter ? adapter : undefined
}

/** The level that a client was told for all its transactions, in the words of SQL. */
export function isolationOf(client: object): IsolationLevel | undefined {
  const level = (client as ClientInternals)._engineConfig?.transactionOptions?.isolationLevel
  // 'RepeatableRead'; of Prisma's levels only 'Snapshot' is none of PostgreSQL's, and the core says so.
  return level?.replace(/(?<=.)[A-Z]/g, ' $&').toLowerCase() as IsolationLevel | undefined
}

/** @throws InvalidArgumentError when the client runs its requests in another way */
export function insideOf(client: object): { readonly handler: RequestHandler; readonly engine: Engine } {
  const { _engine: engine, _requestHandler: handler } = client as ClientInternals
  const { dataloader, handleAndLogRequestError } = handler ?? {}
  const used = [engine?.transaction, dataloader?.request, dataloader?.options?.batchLoader, handleAndLogRequestError]
  if (used.every((part) => typeof part === 'function')) {
    return { handler: handler as RequestHandler, engine: engine as Engine }
  }
  throw new InvalidArgumentError('client', 'of a Prisma that runs its requests in another way', 'a client of Prisma 7')
}
