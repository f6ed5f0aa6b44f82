import {
  batch,
  LifeguardDialect,
  tryWithLock,
  updateVersioned,
  withLock,
  withOptimisticRetry,
  withSemaphore,
  withTransaction,
} from '@pg-lifeguard/kysely'
import { CompiledQuery, type Generated, Kysely } from 'kysely'
import type { Handle, Item, Statements, Subject } from '../../src/index.js'
import { fromPg, type PgSample, toPg } from './pg-sample.js'

interface Database {
  item: { id: number; name: string; stock: Generated<number>; version: Generated<number> }
  sample: PgSample
}

function statements(db: Kysely<Database>): Statements {
  return {
    insert: async (item) =>
      Number((await db.insertInto('item').values(item).executeTakeFirst()).numInsertedOrUpdatedRows),
    find: (id) => db.selectFrom('item').selectAll().where('id', '=', id).executeTakeFirst(),
    update: async (id, changes) =>
      Number((await db.updateTable('item').set(changes).where('id', '=', id).executeTakeFirst()).numUpdatedRows),
    delete: async (id) => Number((await db.deleteFrom('item').where('id', '=', id).executeTakeFirst()).numDeletedRows),
    query: async <Row>(text: string, values: readonly unknown[] = []) =>
      (await db.executeQuery<Row>(CompiledQuery.raw(text, [...values]))).rows,
  }
}

async function runAll(db: Kysely<Database>, texts: readonly string[]): Promise<void> {
  for (const text of texts) await db.executeQuery(CompiledQuery.raw(text))
}

export const kysely: Subject = {
  name: 'Kysely',
  absent: {},
  open: (pool): Handle => {
    const db = new Kysely<Database>({ dialect: new LifeguardDialect(pool) })
    return {
      ...statements(db),
      writeSample: (sample) => db.insertInto('sample').values(toPg(sample)).execute(),
      readSample: async (id) => {
        const row = await db.selectFrom('sample').selectAll().where('id', '=', id).executeTakeFirst()
        return row === undefined ? undefined : fromPg(row)
      },
      ownTransactions: {
        'db.transaction()': (texts) => db.transaction().execute((trx) => runAll(trx, texts)),
        'db.startTransaction()': async (texts) => {
          const trx = await db.startTransaction().execute()
          try {
            await runAll(trx, texts)
          } catch (error) {
            await trx.rollback().execute()
            throw error
          }
          await trx.commit().execute()
        },
        'db.connection().transaction()': (texts) =>
          db.connection().execute((one) => one.transaction().execute((trx) => runAll(trx, texts))),
      },
      withTransaction: (fn, options) => withTransaction(db, (trx, tx) => fn(statements(trx), tx), options),
      ownTransaction: (fn, isolation) => {
        const transaction = db.transaction()
        const levelled = isolation === undefined ? transaction : transaction.setIsolationLevel(isolation)
        return levelled.execute((trx) => fn(statements(trx)))
      },
      withLock: (key, fn, options) => withLock(db, key, fn, options),
      tryWithLock: (key, fn, options) => tryWithLock(db, key, fn, options),
      withSemaphore: (name, permits, fn, options) => withSemaphore(db, name, permits, fn, options),
      withOptimisticRetry: (fn, options) => withOptimisticRetry(db, fn, options),
      updateVersioned: (key, changes, options) => updateVersioned(db, 'item', key, changes, options),
      batch: async (items, id, options) => {
        const inserts = items.map((item) => db.insertInto('item').values(item))
        const find = db.selectFrom('item').selectAll().where('id', '=', id)
        const results = await batch(db, [...inserts, find], options)
        return results.at(-1)?.[0] as Item | undefined
      },
      abortable: (text, signal) =>
        db.executeQuery(CompiledQuery.raw(text), { signal, inflightQueryAbortStrategy: 'cancel query' }),
      close: () => db.destroy(),
    }
  },
}
