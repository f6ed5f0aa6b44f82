import type { AdapterPool } from '@pg-lifeguard/core/adapter'
import { askingFromEngine } from './asking-client.js'
import type { Loader, LoaderOptions } from './client-internals.js'

/**
 * Makes a client send what is asked for in one context apart from what is asked for in others.
 *
 * Prisma's client merges the findUnique calls of one tick into one query, and sends everything else that it collected
 * in that tick with it, all in the asynchronous context of whoever came first: a read from outside would run inside of
 * a transaction, one of a transaction outside, and each under the deadline of another. So each context of the pool gets
 * a collector of its own, of the client's own kind: within one context calls are merged as ever.
 * https://www.prisma.io/docs/orm/prisma-client/queries/query-optimization-performance
 */
export function separateBatches(shared: Loader, pool: AdapterPool): void {
  const Collector = shared.constructor as new (options: LoaderOptions) => Loader
  const options = { ...shared.options, batchLoader: answeringAll(shared.options.batchLoader) }
  const outside = new Collector(options)
  const inside = new WeakMap<object, Loader>()
  shared.request = (request) => {
    const { context } = pool
    if (context === undefined) return outside.request(request)
    let loader = inside.get(context)
    if (loader === undefined) {
      loader = new Collector(options)
      inside.set(context, loader)
    }
    const collector = loader
    return askingFromEngine(() => collector.request(request))
  }
}

/**
 * The engine runs the calls that a transaction makes in one tick one after the other, and stops at the first that fails;
 * the client then answers the others with undefined, as if they had succeeded. They get that failure in its place.
 */
function answeringAll(batchLoader: LoaderOptions['batchLoader']): LoaderOptions['batchLoader'] {
  return async (requests) => {
    const results = await batchLoader(requests)
    const last = results.at(-1)
    if (requests[0]?.transaction?.kind === 'itx' && last instanceof Error) {
      while (results.length < requests.length) results.push(last)
    }
    return results
  }
}
