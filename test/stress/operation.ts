import { oneOf } from '../support/random.js'

/** One thing that is done to the pool, with all that chance has to say about it. */
export type Operation =
  | { readonly do: 'query'; readonly sleepMs: number; readonly timeoutMs: number | undefined }
  | { readonly do: 'timeout'; readonly sleepMs: number; readonly timeoutMs: number }
  | { readonly do: 'abort'; readonly sleepMs: number; readonly afterMs: number }
  | { readonly do: 'acquire'; readonly timeoutMs: number | undefined }
  | { readonly do: 'release'; readonly pick: number; readonly as: 'clean' | 'open' | 'failed' | 'busy' | 'discarded' }
  | { readonly do: 'transaction'; readonly sleepMs: number; readonly ends: 'well' | 'thrown' | 'timeout' }
  | { readonly do: 'kill'; readonly pick: number }
  | { readonly do: 'flush'; readonly mode: 'idle' | 'graceful' | 'all' }
  | { readonly do: 'pause'; readonly forMs: number }
  | { readonly do: 'resize'; readonly max: number; readonly min: number }

/** The most connections that a pool under stress is ever allowed. */
export const mostConnections = 8

const weights: readonly (readonly [Operation['do'], number])[] = [
  ['query', 50],
  ['transaction', 14],
  ['acquire', 10],
  ['release', 12],
  ['timeout', 5],
  ['abort', 5],
  ['kill', 2],
  ['resize', 1],
  ['flush', 0.7],
  ['pause', 0.3],
]
const total = weights.reduce((sum, [, weight]) => sum + weight, 0)

/** The next operation; the same seed gives the same ones. */
export function draw(random: () => number): Operation {
  const upTo = (most: number): number => Math.floor(random() * (most + 1))
  let left = random() * total
  const kind = weights.find(([, weight]) => {
    left -= weight
    return left < 0
  })?.[0]
  switch (kind) {
    case 'timeout':
      return { do: 'timeout', sleepMs: upTo(60), timeoutMs: 1 + upTo(30) }
    case 'abort':
      return { do: 'abort', sleepMs: upTo(30), afterMs: upTo(20) }
    case 'acquire':
      return { do: 'acquire', timeoutMs: random() < 0.5 ? undefined : 1 + upTo(300) }
    case 'release':
      return {
        do: 'release',
        pick: upTo(999),
        as: oneOf(random, ['clean', 'clean', 'open', 'failed', 'busy', 'discarded']),
      }
    case 'transaction':
      return { do: 'transaction', sleepMs: upTo(4), ends: oneOf(random, ['well', 'well', 'thrown', 'timeout']) }
    case 'kill':
      return { do: 'kill', pick: upTo(999) }
    case 'flush':
      return { do: 'flush', mode: oneOf(random, ['idle', 'graceful', 'all']) }
    case 'pause':
      return { do: 'pause', forMs: upTo(30) }
    case 'resize': {
      const max = 5 + upTo(mostConnections - 5)
      return { do: 'resize', max, min: upTo(Math.min(2, max)) }
    }
    default:
      return {
        do: 'query',
        sleepMs: random() < 0.7 ? 0 : upTo(10),
        timeoutMs: random() < 0.5 ? undefined : 1 + upTo(400),
      }
  }
}
