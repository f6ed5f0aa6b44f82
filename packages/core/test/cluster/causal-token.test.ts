import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Causality, type CausalToken, formatToken, laterToken, parseToken, shows } from '../../src/cluster/causality.js'
import { InvalidArgumentError } from '../../src/index.js'
import { seeded } from '../support/seeded.js'

const tokens = fc.record({
  timeline: fc.integer({ min: 1, max: 0xffff_ffff }),
  lsn: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
})

describe('a causal token', () => {
  test('has this form, in this version', () => {
    expect(formatToken({ timeline: 3, lsn: 0x16_b374_d848n })).toBe('v1.3.16-B374D848')
    expect(parseToken('v1.3.16-B374D848')).toEqual({ timeline: 3, lsn: 0x16_b374_d848n })
  })

  test('comes back as it was, and needs no escaping in a cookie, a header or a URL', () => {
    fc.assert(
      fc.property(tokens, (token) => {
        const text = formatToken(token)
        expect(parseToken(text)).toEqual(token)
        expect(encodeURIComponent(text)).toBe(text)
      }),
      seeded(300),
    )
  })

  test.each([
    '',
    'v1',
    'v2.1.0-1',
    'v1.0.0-1',
    'v1.1.0/1',
    'v1.1.0-g',
    'v1.4294967296.0-1',
    'v1.1.0-1 ',
    'v1.1.0-123456789',
    7,
    null,
    {},
  ])('%j is refused, and said so', (text) => expect(() => parseToken(text)).toThrow(InvalidArgumentError))

  test('the later of two is that of the later timeline, then that of the further place; of none it is the other', () => {
    const one: CausalToken = { timeline: 2, lsn: 10n }
    expect(laterToken(one, { timeline: 1, lsn: 99n })).toBe(one)
    expect(laterToken({ timeline: 2, lsn: 9n }, one)).toBe(one)
    expect(laterToken(undefined, one)).toBe(one)
    expect(laterToken(undefined, undefined)).toBeUndefined()
    fc.assert(
      fc.property(tokens, tokens, tokens, (a, b, c) => {
        expect(laterToken(laterToken(a, b), c)).toEqual(laterToken(a, laterToken(b, c)))
        expect(laterToken(a, b)).toEqual(laterToken(b, a))
      }),
      seeded(300),
    )
  })

  test('is shown by a server as far on, on the same timeline or a later one, and never on an earlier one', () => {
    const token: CausalToken = { timeline: 2, lsn: 10n }
    expect(shows({ timeline: 2, lsn: 10n }, token)).toBe(true)
    expect(shows({ timeline: 2, lsn: 9n }, token)).toBe(false)
    expect(shows({ timeline: 3, lsn: 10n }, token)).toBe(true)
    expect(shows({ timeline: 1, lsn: 99n }, token)).toBe(false)
  })
})

describe('a line of work', () => {
  const at = (lsn: bigint): CausalToken => ({ timeline: 1, lsn })

  test('knows the latest it has seen, and hands it up', () => {
    const outer = new Causality(at(5n))
    const inner = new Causality(undefined, outer)
    expect(inner.token).toEqual(at(5n))
    inner.note(at(9n))
    inner.note(at(7n))
    expect([inner.token, outer.token]).toEqual([at(9n), at(9n)])
    outer.note(at(12n))
    expect(inner.token).toEqual(at(9n)) // it began before
  })

  test('waits for positions that are on their way; one that does not come makes it unknown', async () => {
    const outer = new Causality(undefined)
    const inner = new Causality(undefined, outer)
    const position = Promise.withResolvers<CausalToken>()
    inner.noteSoon(position.promise)
    expect([inner.isPending, outer.isPending, inner.token]).toEqual([true, true, undefined])
    // A line of work that begins now waits as well, and sees it.
    const later = new Causality(undefined, outer)
    expect(later.isPending).toBe(true)
    position.resolve(at(3n))
    await Promise.all([inner.settled(), later.settled()])
    expect([later.token, later.isPending]).toEqual([at(3n), false])
    expect([inner.isPending, outer.isPending, outer.token]).toEqual([false, false, at(3n)])
    inner.noteSoon(Promise.reject(new Error('the primary is away')))
    const last = new Causality(undefined, outer)
    await Promise.all([inner.settled(), last.settled()])
    expect([inner.isUnknown, outer.isUnknown, last.isUnknown]).toEqual([true, true, true])
  })

  test('a position that was asked for before a write says nothing of that write', () => {
    const causality = new Causality(undefined)
    causality.noteUnknown()
    const { unknowns } = causality
    causality.noteUnknown()
    causality.settleUnknown(at(4n), unknowns)
    expect(causality.isUnknown).toBe(true)
    causality.settleUnknown(at(5n), causality.unknowns)
    expect([causality.isUnknown, causality.token]).toEqual([false, at(5n)])
  })
})
