import type { Pool, QueryResult } from '@pg-lifeguard/core'
import type { Handle, Item, ItemChanges, NewItem, Sample, Statements, Subject } from '../../src/index.js'
import { fromPg, type PgSample, toPg } from './pg-sample.js'

interface Querying {
  query<Row>(text: string, values?: readonly unknown[], options?: { signal?: AbortSignal }): Promise<QueryResult<Row>>
}

const inserting = 'insert into item (id, name, stock) values ($1, $2, $3)'
const finding = 'select id, name, stock, version from item where id = $1'
const valuesOf = ({ id, name, stock = 0 }: NewItem): unknown[] => [id, name, stock]

function statements(on: Querying): Statements {
  return {
    insert: async (item) => (await on.query(inserting, valuesOf(item))).rowCount ?? 0,
    find: async (id) => (await on.query<Item>(finding, [id])).rows[0],
    update: async (id, { name, stock }: ItemChanges) =>
      (
        await on.query('update item set name = coalesce($2, name), stock = coalesce($3, stock) where id = $1', [
          id,
          name,
          stock,
        ])
      ).rowCount ?? 0,
    delete: async (id) => (await on.query('delete from item where id = $1', [id])).rowCount ?? 0,
    query: async <Row>(text: string, values?: readonly unknown[]) => (await on.query<Row>(text, values)).rows,
  }
}

/** The pool itself, without an ORM: what the others are measured by. */
export const core: Subject = {
  name: 'core',
  absent: {},
  open: (pool: Pool): Handle => ({
    ...statements(pool),
    writeSample: async (sample: Sample) => {
      const entries = Object.entries(toPg(sample))
      const places = entries.map((_, index) => `$${index + 1}`)
      await pool.query(
        `insert into sample (${entries.map(([name]) => name).join(', ')}) values (${places.join(', ')})`,
        entries.map(([, value]) => value),
      )
    },
    readSample: async (id) => {
      const { rows } = await pool.query<PgSample>('select * from sample where id = $1', [id])
      return rows[0] === undefined ? undefined : fromPg(rows[0])
    },
    ownTransactions: {
      'pool.beginTransaction()': async (texts) => {
        await using transaction = await pool.beginTransaction()
        for (const text of texts) await transaction.query(text)
        await transaction.commit()
      },
    },
    withTransaction: (fn, options) => pool.withTransaction((tx) => fn(statements(tx), tx), options),
    ownTransaction: async (fn, isolation) => {
      await using transaction = await pool.beginTransaction({ isolation })
      const value = await fn(statements(transaction))
      await transaction.commit()
      return value
    },
    withLock: (key, fn, options) => pool.withLock(key, fn, options),
    tryWithLock: (key, fn, options) => pool.tryWithLock(key, fn, options),
    withSemaphore: (name, permits, fn, options) => pool.withSemaphore(name, permits, fn, options),
    withOptimisticRetry: (fn, options) => pool.withOptimisticRetry(fn, options),
    updateVersioned: (key, changes, options) => pool.updateVersioned<Item>('item', key, changes, options),
    batch: async (items, id, options) => {
      const inserts = items.map((item) => ({ text: inserting, values: valuesOf(item) }))
      const results = await pool.batch([...inserts, { text: finding, values: [id] }], options)
      return results.at(-1)?.rows[0] as Item | undefined
    },
    abortable: (text, signal) => pool.query(text, [], { signal }),
    close: async () => undefined,
  }),
}
