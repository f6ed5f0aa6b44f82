import assert from 'node:assert/strict'
import type { Case } from '../case.js'
import type { Sample } from '../schema.js'
import { hostileTexts } from './query.js'

const plain: Sample = {
  id: 1,
  flag: true,
  small: -12,
  whole: 42,
  big: 9_007_199_254_740_993n,
  double: 0.1,
  exact: '12345678901234567890.123456789012345',
  body: 'text',
  label: 'label',
  uuid: '6f0c2b1e-6f2f-4d8e-9b1c-0a8c2f1d3e4b',
  document: { nested: [1, 'two', null, { three: true }] },
  details: { price: 9.5, tags: ['a', 'b'], none: null },
  bytes: Uint8Array.from({ length: 256 }, (_, index) => index),
  day: '2024-02-29',
  moment: new Date('2024-03-31T00:59:59.999Z'),
  words: ['a', 'b c', '{}', '"', '', 'null', 'O\\K', 'ä,ö'],
  numbers: [1, -2, 2_147_483_647],
}

const limits: Sample = {
  ...plain,
  id: 2,
  flag: false,
  small: -32_768,
  whole: -2_147_483_648,
  big: -9_223_372_036_854_775_808n,
  double: -1e300,
  exact: '-0.000000000000000000000000000001',
  body: hostileTexts.join('|'),
  label: '',
  document: [],
  details: {},
  bytes: new Uint8Array(),
  day: '1969-12-31',
  moment: new Date('1901-12-13T20:45:51.999Z'),
  words: [],
  numbers: [],
}

const nothing: Sample = {
  id: 3,
  flag: null,
  small: null,
  whole: null,
  big: null,
  double: null,
  exact: null,
  body: null,
  label: null,
  uuid: null,
  document: null,
  details: null,
  bytes: null,
  day: null,
  moment: null,
  words: [],
  numbers: [],
}

/** What the server itself says of a row: that writing and reading are wrong in the same way is seen here. */
const asTheServerSaysIt = `select flag::text, small::text, whole::text, big::text, exact::text, body, label, uuid::text,
    document::jsonb::text as document, details::text, encode(bytes, 'hex') as bytes, day::text,
    (extract(epoch from moment) * 1000)::bigint::text as moment, array_length(words, 1)::text as words,
    numbers::text
  from sample where id = $1`

export const typesCases: readonly Case[] = [
  {
    name: 'types: values of every common type come back as they went',
    async run({ handle, admin }) {
      for (const sample of [plain, limits]) {
        await handle.writeSample(sample)
        assert.deepEqual(await handle.readSample(sample.id), sample)
      }
      const { rows } = await admin.query(asTheServerSaysIt, [1])
      assert.deepEqual(rows, [
        {
          flag: 'true',
          small: '-12',
          whole: '42',
          big: '9007199254740993',
          exact: '12345678901234567890.123456789012345',
          body: 'text',
          label: 'label',
          uuid: plain.uuid,
          document: '{"nested": [1, "two", null, {"three": true}]}',
          details: '{"none": null, "tags": ["a", "b"], "price": 9.5}',
          bytes: Buffer.from(plain.bytes ?? []).toString('hex'),
          day: '2024-02-29',
          moment: String(plain.moment?.getTime()),
          words: '8',
          numbers: '{1,-2,2147483647}',
        },
      ])
    },
  },
  {
    name: 'types: null comes back as null',
    async run({ handle, admin }) {
      await handle.writeSample(nothing)
      assert.deepEqual(await handle.readSample(3), nothing)
      const { rows } = await admin.query(
        'select num_nulls(flag, small, whole, big, double, exact, body, label, uuid, document, details, bytes, day, moment, words, numbers) as nulls from sample',
      )
      assert.deepEqual(rows, [{ nulls: 14 }])
    },
  },
  {
    name: 'types: an array that is null comes back as null',
    async run({ handle }) {
      const sample = { ...nothing, words: null, numbers: null }
      await handle.writeSample(sample)
      assert.deepEqual(await handle.readSample(3), sample)
    },
  },
  {
    name: 'types: a double keeps every digit',
    async run({ handle }) {
      const doubles = [0.1 + 0.2, Math.PI * 1e15, Number.MAX_VALUE, Number.EPSILON]
      for (const [id, double] of doubles.entries()) {
        await handle.writeSample({ ...nothing, id, double })
        assert.equal((await handle.readSample(id))?.double, double)
      }
    },
  },
]
