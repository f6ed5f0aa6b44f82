import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { InvalidArgumentError } from '../../src/errors/lifeguard-error.js'
import { advisoryLockKey, type LockKey, serverKeys } from '../../src/sql/lock-key.js'
import { seeded } from '../support/seeded.js'

/**
 * Golden vectors, computed apart from the code, with Python's hashlib and with node:crypto:
 *
 *   struct.unpack('>q', hashlib.sha256((namespace + '\0' + name).encode()).digest()[:8])
 *   createHash('sha256').update(Buffer.from(`${namespace}\0${name}`, 'utf8')).digest().readBigInt64BE(0)
 *
 * They must never change: processes of two versions, or in two languages, would no longer exclude each other.
 */
const golden: readonly (readonly [name: string, namespace: string | undefined, key: bigint])[] = [
  ['invoice:42', undefined, 1737600153618966791n],
  ['invoice:42', 'lifeguard', 1737600153618966791n],
  ['invoice:42', 'billing', 1572001551135567388n],
  ['invoice:42', '', -3763598468585093422n],
  ['', undefined, -1172227888359470151n],
  ['日本語 🐘', undefined, -915863022716994135n],
  ['Straße', undefined, 6517068443675605997n],
  ['e\u0301', undefined, -5126202058976491769n], // é in two code points ...
  ['\u00e9', undefined, 9069634836779312404n], // ... is not é in one: names are bytes
  ['x'.repeat(10_000), undefined, -5749964261248406155n],
]

describe('the key of a name', () => {
  test.each(golden)('%j in namespace %j is %s', (name, namespace, key) => {
    expect(advisoryLockKey(name, namespace)).toBe(key)
  })

  test('is a signed 64-bit number, and as defined, for any name', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string(), (name, namespace) => {
        const digest = createHash('sha256')
          .update(Buffer.from(`${namespace}\0${name}`, 'utf8'))
          .digest()
        expect(advisoryLockKey(name, namespace)).toBe(digest.readBigInt64BE(0))
      }),
      seeded(200),
    )
  })
})

describe('the keys of a call', () => {
  test('are sent as text: a name and a bigint as one number, a pair as two', () => {
    expect(serverKeys('invoice:42', undefined)).toEqual([
      { id: '1737600153618966791', label: '"invoice:42"', name: 'invoice:42', args: ['1737600153618966791'] },
    ])
    expect(serverKeys('invoice:42', 'billing')[0]?.args).toEqual(['1572001551135567388'])
    expect(serverKeys(-7n, undefined)).toEqual([{ id: '-7', label: '-7n', args: ['-7'] }])
    expect(serverKeys([1, -2], undefined)).toEqual([{ id: '1,-2', label: '(1, -2)', args: ['1', '-2'] }])
  })

  test('keep pairs and single numbers apart, as the server does', () => {
    expect(new Set(serverKeys([7n, [0, 7], [7, 0]], undefined).map(({ id }) => id)).size).toBe(3)
  })

  test('go to the ends of their ranges', () => {
    const ends: LockKey[] = [-(2n ** 63n), 2n ** 63n - 1n, [-(2 ** 31), 2 ** 31 - 1]]
    expect(serverKeys(ends, undefined)).toHaveLength(3)
  })

  test('come each once, though one is given twice or by name and by number', () => {
    expect(serverKeys(['a', 'b', 'a', advisoryLockKey('b')], undefined)).toHaveLength(2)
    expect(
      serverKeys(
        [
          [1, 2],
          [1, 2],
        ],
        undefined,
      ),
    ).toHaveLength(1)
  })

  test('come in the same order, however they were given', () => {
    const key = fc.oneof(
      fc.string({ minLength: 1 }),
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      fc.tuple(fc.integer(), fc.integer()),
    )
    fc.assert(
      fc.property(
        fc
          .array(key, { minLength: 1, maxLength: 8 })
          .chain((keys) =>
            fc.tuple(fc.constant(keys), fc.shuffledSubarray(keys, { minLength: keys.length, maxLength: keys.length })),
          ),
        ([keys, shuffled]) => {
          const ids = serverKeys(keys, undefined).map(({ id }) => id)
          expect(serverKeys(shuffled, undefined).map(({ id }) => id)).toEqual(ids)
          expect(new Set(ids).size).toBe(ids.length)
        },
      ),
      seeded(200),
    )
  })

  test.each<[string, unknown]>([
    ['an empty name', ''],
    ['an empty list', []],
    ['a number', 42],
    ['a list with a number', ['a', 42]],
    ['a pair with a fraction', [1.5, 2]],
    ['a pair with NaN', [Number.NaN, 2]],
    ['a pair out of range', [2 ** 31, 0]],
    ['a pair out of range below', [0, -(2 ** 31) - 1]],
    ['three numbers', [1, 2, 3]],
    ['a bigint out of range', 2n ** 63n],
    ['a bigint out of range below', -(2n ** 63n) - 1n],
    ['nothing', undefined],
    ['null', null],
    ['an object', {}],
  ])('%s is refused, with the name of the option', (_, key) => {
    expect(() => serverKeys(key as LockKey, undefined)).toThrow(InvalidArgumentError)
    expect(() => serverKeys(key as LockKey, undefined)).toThrow(/^key is .+; allowed: /)
  })
})
