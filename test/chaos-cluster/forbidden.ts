import { createPool, type Pool } from '@pg-lifeguard/core'
import { type Cluster, startFaultProxy, type TestDatabase } from '@pg-lifeguard/testing'
import { oneOf, randomFrom } from '../support/random.js'
import { forEach, Promises, type StageResult } from './stage.js'

/** A statement that must not reach a replica says so in a comment. */
const tag = '/* for the primary */'

const statements = [
  'update item set version = version + 1 where id = 1',
  'insert into item values (-1, 0) on conflict (id) do update set version = 0',
  'delete from item where id = -2',
  'select version from item where id = 1 for update',
  'select version from item where id = 1 for no key update',
  'select version from item where id = 1 for share',
  'select version from item where id = 1 for key share',
  'with changed as (update item set version = 0 where id = 2 returning id) select id from changed',
  'select version into temp copy from item; drop table copy',
  "select nextval('counter')",
  'select pg_try_advisory_xact_lock(1)',
  'select pg_advisory_unlock_all()',
  'select take(3)',
  'select 1; update item set version = 1 where id = 3',
  'create temp table basket (id int); drop table basket',
  'listen orders; unlisten orders',
  'begin; update item set version = 2 where id = 4; commit',
  'explain analyze update item set version = 3 where id = 5',
] as const

type Mix = (pool: Pool, text: string) => Promise<unknown>

/** The ways in which a statement may come about. */
const mixes: readonly Mix[] = [
  (pool, text) => pool.query(text),
  (pool, text) => pool.read(() => pool.query(text)),
  (pool, text) => pool.read(() => pool.query(text.replace(tag, `${tag} /* nested /* */ */ -- comment\n`))),
  (pool, text) => pool.read(() => pool.withTransaction((tx) => tx.query(text))),
  (pool, text) =>
    pool.read(() =>
      pool.withTransaction((tx) => tx.query(text), { isolation: 'serializable', retry: { attempts: 50 } }),
    ),
  (pool, text) =>
    pool.read(() => pool.withTransaction((tx) => tx.query(text), { readOnly: true, retry: { attempts: 3 } })),
  (pool, text) =>
    pool.read(() =>
      pool.withTransaction(
        async (tx) => {
          await tx.query('select count(*) from item /* may go anywhere */')
          await tx.query(text)
        },
        { readOnly: true },
      ),
    ),
  (pool) =>
    pool.read(() =>
      pool.withTransaction((tx) => tx.query(`select count(*) from item ${tag}`), {
        readOnly: true,
        isolation: 'serializable',
        deferrable: true,
      }),
    ),
  (pool) => pool.read(() => pool.withLock('a lock', () => pool.query(`select count(*) from item where id > 0 ${tag}`))),
  (pool, text) => pool.withCausality(undefined, () => pool.read(() => pool.query(text))),
  (pool) => pool.read(() => pool.query('select count(*) from item /* may go anywhere */')),
  (pool) =>
    pool.read(() =>
      pool.query('select lower(name) from (values (1, $1::text)) v(id, name) /* may go anywhere */', ['A']),
    ),
]

/** Statements that belong to the primary, in every way they can come about; proxies in front of the replicas look on. */
export async function runForbidden(
  cluster: Cluster,
  database: TestDatabase,
  count: number,
  seed: number,
): Promise<StageResult> {
  const [first, second] = cluster.replicas
  if (first === undefined || second === undefined) throw new Error('bug: two replicas were asked for')
  await using one = await startFaultProxy({ target: database.urlOn(first) })
  await using other = await startFaultProxy({ target: database.urlOn(second) })
  const watch = (text: RegExp) =>
    Promise.all(
      [one, other].map((proxy) =>
        proxy.rule({ statement: text, when: 'before', action: { delayMs: 0.01 }, count: Number.POSITIVE_INFINITY }),
      ),
    )
  const forbidden = await watch(/for the primary/)
  const allowed = await watch(/may go anywhere/)
  await using pool = createPool({ connectionString: database.url, replicas: [one.url, other.url], maxLagMs: 60_000 })
  await pool.query('create sequence if not exists counter')
  await pool.query(
    "create or replace function take(item int) returns int language sql as 'select pg_try_advisory_xact_lock(item)::int'",
  )
  await cluster.waitForReplicas()
  await pool.read(() => pool.query('select 1'))
  const random = randomFrom(seed)
  const surprises = new Set<string>()
  await forEach(count, 4, async () => {
    const text = `${oneOf(random, statements).replace(/^\w+/, (word) => `${word} ${tag}`)}`
    try {
      await oneOf(random, mixes)(pool, text)
    } catch (error) {
      // A write in a read-only transaction, several statements where one is needed: the server refuses it, on the primary.
      const { code, message } = error as { code?: string; message: string }
      if (code === undefined || !expected.has(code)) surprises.add(`${code}: ${message} (${text})`)
    }
  })
  const countOf = async (rules: typeof forbidden): Promise<number> =>
    (await Promise.all(rules.map((rule) => rule.count()))).reduce((sum, n) => sum + n, 0)
  const [wrong, right] = [await countOf(forbidden), await countOf(allowed)]
  const promises = new Promises()
  promises.check(wrong === 0, `${wrong} statements that belong to the primary reached a replica`)
  promises.check(right > 0, 'nothing reached a replica: the proxies saw nothing')
  promises.check(surprises.size === 0, [...surprises].join('; '))
  return {
    stage: 'writes, row locks, advisory locks, serializable, in every mix',
    figures: { 'statements tried': count, 'seen at the replicas': wrong, 'reads seen at the replicas': right },
    violations: promises.violations,
  }
}

/** Read-only refusals, conflicts, a statement of several or a COMMIT inside a transaction, a rolled back one. */
const expected: ReadonlySet<string> = new Set([
  '25006',
  '25001',
  '40001',
  '40P01',
  '0A000',
  'LIFEGUARD_TRANSACTION_CLOSED',
  'LIFEGUARD_TRANSACTION_ROLLED_BACK',
])
