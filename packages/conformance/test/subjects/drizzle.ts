import {
  batch,
  drizzle as drizzleOn,
  tryWithLock,
  updateVersioned,
  withLock,
  withOptimisticRetry,
  withSemaphore,
  withTransaction,
} from '@pg-lifeguard/drizzle'
import { eq, type SQL, sql } from 'drizzle-orm'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import {
  bigint,
  boolean,
  customType,
  date,
  doublePrecision,
  integer,
  json,
  jsonb,
  numeric,
  pgTable,
  smallint,
  text,
  timestamp,
  uuid,
  varchar,
} from 'drizzle-orm/pg-core'
import type { Handle, Item, Json, Statements, Subject } from '../../src/index.js'

const item = pgTable('item', {
  id: integer('id').primaryKey(),
  name: text('name').notNull(),
  stock: integer('stock').notNull().default(0),
  version: integer('version').notNull().default(1),
})

/** Drizzle 0.45 has no bytea of its own. */
const bytea = customType<{ data: Uint8Array; driverData: Buffer }>({
  dataType: () => 'bytea',
  toDriver: (bytes) => Buffer.from(bytes),
  fromDriver: (bytes) => Uint8Array.from(bytes),
})

const sample = pgTable('sample', {
  id: integer('id').primaryKey(),
  flag: boolean('flag'),
  small: smallint('small'),
  whole: integer('whole'),
  big: bigint('big', { mode: 'bigint' }),
  double: doublePrecision('double'),
  exact: numeric('exact'),
  body: text('body'),
  label: varchar('label', { length: 40 }),
  uuid: uuid('uuid'),
  document: json('document').$type<Json>(),
  details: jsonb('details').$type<Json>(),
  bytes: bytea('bytes'),
  day: date('day', { mode: 'string' }),
  moment: timestamp('moment', { withTimezone: true, mode: 'date' }),
  words: text('words').array(),
  numbers: integer('numbers').array(),
})

/** Drizzle takes raw SQL as a template; this makes one of `$1`, `$2`. */
function template(query: string, values: readonly unknown[]): SQL {
  const parts = query
    .split(/\$(\d+)/)
    .map((part, index) => (index % 2 === 0 ? sql.raw(part) : sql`${values[Number(part) - 1]}`))
  return sql.join(parts)
}

function statements(db: Pick<NodePgDatabase, 'insert' | 'select' | 'update' | 'delete' | 'execute'>): Statements {
  return {
    insert: async (values) => (await db.insert(item).values(values)).rowCount ?? 0,
    find: async (id) => (await db.select().from(item).where(eq(item.id, id)))[0],
    update: async (id, changes) => (await db.update(item).set(changes).where(eq(item.id, id))).rowCount ?? 0,
    delete: async (id) => (await db.delete(item).where(eq(item.id, id))).rowCount ?? 0,
    query: async <Row>(query: string, values: readonly unknown[] = []) =>
      (await db.execute(template(query, values))).rows as Row[],
  }
}

export const drizzle: Subject = {
  name: 'Drizzle',
  absent: {
    'abort: the signal of one query ends it on the server':
      'Drizzle takes no signal for a query: withDeadline and fanOut around it do',
  },
  open: (pool): Handle => {
    const db = drizzleOn(pool)
    return {
      ...statements(db),
      writeSample: (values) =>
        db
          .insert(sample)
          .values({ ...values, words: values.words?.slice() ?? null, numbers: values.numbers?.slice() ?? null }),
      readSample: async (id) => (await db.select().from(sample).where(eq(sample.id, id)))[0],
      ownTransactions: {
        'db.transaction()': (texts) =>
          db.transaction(async (tx) => {
            for (const text of texts) await tx.execute(sql.raw(text))
          }),
        'tx.transaction()': (texts) =>
          db.transaction((tx) =>
            tx.transaction(async (inner) => {
              for (const text of texts) await inner.execute(sql.raw(text))
            }),
          ),
      },
      withTransaction: (fn, options) =>
        withTransaction(db, (tx, transaction) => fn(statements(tx), transaction), options),
      ownTransaction: (fn, isolation) =>
        db.transaction((tx) => fn(statements(tx)), isolation === undefined ? undefined : { isolationLevel: isolation }),
      withLock: (key, fn, options) => withLock(db, key, fn, options),
      tryWithLock: (key, fn, options) => tryWithLock(db, key, fn, options),
      withSemaphore: (name, permits, fn, options) => withSemaphore(db, name, permits, fn, options),
      withOptimisticRetry: (fn, options) => withOptimisticRetry(db, fn, options),
      updateVersioned: (key, changes, options) => updateVersioned(db, item, key, changes, options),
      batch: async (items, id, options) => {
        const inserts = items.map((values) => db.insert(item).values(values))
        const results = await batch(db, [...inserts, db.select().from(item).where(eq(item.id, id))], options)
        return (results.at(-1) as readonly Item[])[0]
      },
      close: async () => undefined,
    }
  },
}
