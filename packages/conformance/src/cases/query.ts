import assert from 'node:assert/strict'
import type { Case } from '../case.js'

const lamp = { id: 1, name: 'lamp', stock: 3 }

/** Texts that would do harm, or be changed, if they were anything but values. */
export const hostileTexts: readonly string[] = [
  "'; drop table item; --",
  "O'Brien",
  '"quoted"',
  'back\\slash \\x41',
  '$1 $2 ? :name %s {{x}} $ {x}',
  '{"a":[1]}',
  '{1,2}',
  'null',
  '',
  '  blanks  ',
  'line\nbreak\ttab',
  'Zoë 東京 🛟',
  "E'\\'' or 1=1",
  '/* no */ -- comment',
]

export const queryCases: readonly Case[] = [
  {
    name: 'query: rows are inserted, found, changed and deleted, and counted',
    async run({ handle }) {
      assert.equal(await handle.find(1), undefined)
      assert.equal(await handle.insert(lamp), 1)
      assert.equal(await handle.insert({ id: 2, name: 'shade' }), 1)
      assert.deepEqual(await handle.find(1), { ...lamp, version: 1 })
      assert.equal(await handle.update(1, { stock: 2 }), 1)
      assert.equal(await handle.update(9, { stock: 2 }), 0)
      assert.deepEqual(await handle.find(1), { ...lamp, stock: 2, version: 1 })
      assert.deepEqual(await handle.find(2), { id: 2, name: 'shade', stock: 0, version: 1 })
      assert.equal(await handle.delete(1), 1)
      assert.equal(await handle.delete(1), 0)
      assert.equal(await handle.find(1), undefined)
    },
  },
  {
    name: 'query: hostile texts are values',
    async run({ handle, admin }) {
      for (const [id, name] of hostileTexts.entries()) {
        await handle.insert({ id, name })
        assert.equal((await handle.find(id))?.name, name)
        assert.equal(await handle.update(id, { name: `${name}!` }), 1)
      }
      const { rows } = await admin.query<{ name: string }>('select name from item order by id')
      assert.deepEqual(
        rows.map(({ name }) => name),
        hostileTexts.map((name) => `${name}!`),
      )
    },
  },
  {
    name: 'query: raw SQL has its values beside it',
    async run({ handle }) {
      for (const text of hostileTexts) {
        const rows = await handle.query('select $1::text as text, $2::int as number, $1::text as again', [text, 7])
        assert.deepEqual(
          rows.map((row) => ({ ...(row as object) })),
          [{ text, number: 7, again: text }],
        )
      }
    },
  },
  {
    name: 'query: the same statement with other values and types runs again',
    async run({ handle, admin }) {
      await handle.insert(lamp)
      for (let round = 0; round < 20; round++) assert.equal((await handle.find(1))?.id, 1)
      // Plans that a connection has prepared are of no use any more: nobody is to notice.
      await admin.query('alter table item alter stock type bigint')
      await admin.query('alter table item alter stock type int')
      assert.equal((await handle.find(1))?.stock, 3)
      assert.equal(await handle.update(1, { stock: 4 }), 1)
    },
  },
]
