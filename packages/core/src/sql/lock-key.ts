import { createHash } from 'node:crypto'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'

/**
 * What a lock is for: a name, or a number of your own. A `bigint` and a pair of integers are used as they are, so that
 * they meet the locks of other programs; PostgreSQL keeps the two spaces apart.
 */
export type LockKey = string | bigint | readonly [classId: number, objectId: number]

/** A key as the server takes it: the arguments of the lock functions, each to be sent as text. */
export interface ServerKey {
  /** Tells keys apart, and orders them. */
  readonly id: string
  /** For messages. */
  readonly label: string
  /** What was hashed, when a name was. */
  readonly name: string | undefined
  /** One 64-bit number, or two of 32 bits. */
  readonly args: readonly [string] | readonly [string, string]
}

/** Keeps the names of this library's users apart from other programs that hash names. */
const defaultNamespace = 'lifeguard'

const int32 = { min: -(2 ** 31), max: 2 ** 31 - 1 }
const int64 = { min: -(2n ** 63n), max: 2n ** 63n - 1n }

/**
 * The 64-bit key of a name: the first 8 bytes, big endian and signed, of SHA-256 over namespace, a zero byte and name
 * in UTF-8. Another language can take the same lock by doing the same; golden vectors are in the tests.
 *
 * @example
 * ```ts
 * import { advisoryLockKey } from '@pg-lifeguard/core'
 *
 * console.log(advisoryLockKey('invoice:42')) // the number that stands in pg_locks
 * ```
 */
export function advisoryLockKey(name: string, namespace: string = defaultNamespace): bigint {
  return createHash('sha256').update(namespace).update('\0').update(name).digest().readBigInt64BE(0)
}

/** All keys of one call, each once, in the one order that everybody takes them in: so several keys cannot deadlock. */
export function serverKeys(key: LockKey | readonly LockKey[], namespace: string | undefined): ServerKey[] {
  const list: readonly LockKey[] = Array.isArray(key) && !isPair(key) ? (key as readonly LockKey[]) : [key as LockKey]
  if (list.length === 0) throw new InvalidArgumentError('key', 'an empty list', 'one key or more')
  const unique = new Map<string, ServerKey>()
  for (const one of list) {
    const found = serverKey(one, namespace)
    unique.set(found.id, found)
  }
  return [...unique.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
}

function serverKey(key: LockKey, namespace: string | undefined): ServerKey {
  if (typeof key === 'string') {
    if (key === '') throw new InvalidArgumentError('key', 'an empty string', 'a name, a bigint or a pair of integers')
    const value = String(advisoryLockKey(key, namespace))
    return { id: value, label: labelOfName(key), name: key, args: [value] }
  }
  if (typeof key === 'bigint') {
    if (key < int64.min || key > int64.max) throw new InvalidArgumentError('key', `${key}n`, 'a signed 64-bit integer')
    return { id: String(key), label: `${key}n`, name: undefined, args: [String(key)] }
  }
  if (isPair(key)) {
    for (const part of key) {
      if (!Number.isInteger(part) || part < int32.min || part > int32.max) {
        throw new InvalidArgumentError('key', JSON.stringify(key), 'a pair of signed 32-bit integers')
      }
    }
    return {
      id: `${key[0]},${key[1]}`,
      label: `(${key[0]}, ${key[1]})`,
      name: undefined,
      args: [String(key[0]), String(key[1])],
    }
  }
  throw new InvalidArgumentError('key', `of type ${typeof key}`, 'a name, a bigint or a pair of integers')
}

function isPair(key: unknown): key is readonly [number, number] {
  return Array.isArray(key) && key.length === 2 && typeof key[0] === 'number' && typeof key[1] === 'number'
}

/** The longest name that is shown whole. */
const longestShown = 100

/** A name as messages show it. */
export function labelOfName(name: string): string {
  if (name.length <= longestShown) return JSON.stringify(name)
  return `${JSON.stringify(`${name.slice(0, longestShown)}…`)} (${name.length} characters)`
}

/** The keys of a request in the words of who asks. */
export function labelOf(keys: readonly ServerKey[]): string {
  return keys.map(({ label }) => label).join(', ')
}
