import { buyForUpdate } from './ways/for-update.js'
import { buyWithLock } from './ways/lock.js'
import { buyNaively } from './ways/naive.js'
import { buyOptimistically } from './ways/optimistic.js'
import { buySerializable } from './ways/serializable.js'
import type { Buy } from './ways/way.js'

/** A way to sell, and what there is to say about it. */
export interface Way {
  /** As `--way` takes it; the file in ways/ has the same name. */
  readonly name: string
  readonly buy: Buy
  /** The naive way has to oversell, or this demo shows nothing; all others must not. */
  readonly oversells: boolean
  /** What happened, in one sentence for a person. */
  readonly lesson: (figures: { readonly oversold: number; readonly retries: number }) => string
}

/** In the order in which they are shown. */
export const allWays: readonly Way[] = [
  {
    name: 'naive',
    buy: buyNaively,
    oversells: true,
    lesson: ({ oversold }) =>
      `counted, then inserted: ${count(oversold, 'person', 'people')} bought a ticket that does not exist.`,
  },
  {
    name: 'for-update',
    buy: buyForUpdate,
    oversells: false,
    lesson: () => "SELECT ... FOR UPDATE: buyers take turns at the event's row.",
  },
  {
    name: 'lock',
    buy: buyWithLock,
    oversells: false,
    lesson: () => 'an advisory lock by name: guards payments, mails and files as well as SQL.',
  },
  {
    name: 'serializable',
    buy: buySerializable,
    oversells: false,
    lesson: ({ retries }) =>
      `PostgreSQL undid ${count(retries, 'collision', 'collisions')}, and Lifeguard ran each again by itself.`,
  },
  {
    name: 'optimistic',
    buy: buyOptimistically,
    oversells: false,
    lesson: ({ retries }) =>
      `a version column caught ${count(retries, 'collision', 'collisions')}, and Lifeguard tried each again.`,
  },
]

function count(number: number, one: string, many: string): string {
  return `${number.toLocaleString('en')} ${number === 1 ? one : many}`
}
