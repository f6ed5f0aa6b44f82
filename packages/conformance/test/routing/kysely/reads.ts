import { sql } from 'kysely'
import { jsonArrayFrom, jsonBuildObject, jsonObjectFrom } from 'kysely/helpers/postgres'
import { replica } from './database.js'

/** Reads that are built. */
export const reads = [
  replica('all columns', (db) => db.selectFrom('item').selectAll().execute()),
  replica('one row', (db) => db.selectFrom('item').selectAll().where('id', '=', 1).executeTakeFirstOrThrow()),
  replica('a value that says delete', (db) =>
    db.selectFrom('item').select('id').where('name', '=', 'x; delete from item for update').execute(),
  ),
  replica('columns that are called as keywords', (db) =>
    db.selectFrom('keyword').select(['update', 'delete', 'for', 'into']).orderBy('order').execute(),
  ),
  replica('an alias that is called as a keyword', (db) =>
    db.selectFrom('item as insert').select('insert.id as update').execute(),
  ),
  replica('conditions', (db) =>
    db
      .selectFrom('item')
      .select('id')
      .where((eb) =>
        eb.or([eb('stock', 'in', [1, 2]), eb.and([eb('name', 'ilike', '%m 1'), eb.not(eb('id', '>', 9))])]),
      )
      .execute(),
  ),
  replica('a tuple in a list', (db) =>
    db
      .selectFrom('item')
      .select('id')
      .where(({ eb, refTuple, tuple }) => eb(refTuple('id', 'stock'), 'in', [tuple(1, 1), tuple(2, 2)]))
      .execute(),
  ),
  replica('an inner and a left join', (db) =>
    db
      .selectFrom('item as i')
      .innerJoin('part as p', 'p.item_id', 'i.id')
      .leftJoin('stocked as s', (join) => join.onRef('s.id', '=', 'i.id').on('s.name', '!=', ''))
      .select(['i.id', 'p.id as part', 's.name'])
      .execute(),
  ),
  replica('a lateral join', (db) =>
    db
      .selectFrom('item as i')
      .leftJoinLateral(
        (eb) => eb.selectFrom('part as p').select('p.id').whereRef('p.item_id', '=', 'i.id').limit(1).as('first'),
        (join) => join.onTrue(),
      )
      .select(['i.id', 'first.id as part'])
      .execute(),
  ),
  replica('a cross join', (db) =>
    db.selectFrom('item as a').crossJoin('item as b').select(['a.id', 'b.id as other']).execute(),
  ),
  replica('a subquery in select, from and where', (db) =>
    db
      .selectFrom((eb) => eb.selectFrom('item').selectAll().as('inner'))
      .select(({ selectFrom }) => [
        'inner.id',
        selectFrom('part')
          .select(({ fn }) => fn.countAll().as('n'))
          .as('parts'),
      ])
      .where(({ exists, selectFrom }) => exists(selectFrom('part').select('id').whereRef('item_id', '=', 'inner.id')))
      .execute(),
  ),
  replica('aggregates with filter, distinct and order', (db) =>
    db
      .selectFrom('item')
      .select(({ fn }) => [
        fn.count('id').distinct().as('n'),
        fn.sum('stock').filterWhere('stock', '>', 0).as('sum'),
        fn
          .agg<string>('string_agg', ['name', sql.lit(',')])
          .orderBy('name')
          .as('names'),
        fn.jsonAgg('item').as('all'),
      ])
      .groupBy('stock')
      .having(({ fn }) => fn.count('id'), '>', 0)
      .execute(),
  ),
  replica('window functions', (db) =>
    db
      .selectFrom('item')
      .select(({ fn }) => [
        'id',
        fn
          .agg<string>('row_number')
          .over((over) => over.partitionBy('stock').orderBy('id'))
          .as('place'),
        fn
          .avg('stock')
          .over((over) => over.orderBy('id'))
          .as('average'),
      ])
      .execute(),
  ),
  replica('functions by name', (db) =>
    db
      .selectFrom('item')
      .select(({ fn, val }) => [fn('upper', ['name']).as('up'), fn.coalesce('stock', val(0)).as('stock')])
      .execute(),
  ),
  replica('a function that is vouched for', (db) =>
    db
      .selectFrom('item')
      .select(({ fn }) => fn('price_of', ['id']).as('price'))
      .execute(),
  ),
  replica('case, cast and a literal', (db) =>
    db
      .selectFrom('item')
      .select(({ cast }) => cast('stock', 'varchar(10)').as('text'))
      .select(({ lit }) => lit(1).as('one'))
      .select(({ eb }) => eb.case().when('stock', '>', 1).then('much').else('little').end().as('level'))
      .execute(),
  ),
  replica('nested rows as JSON', (db) =>
    db
      .selectFrom('item as i')
      .select((eb) => [
        jsonArrayFrom(eb.selectFrom('part as p').select('p.id').whereRef('p.item_id', '=', 'i.id')).as('parts'),
        jsonObjectFrom(eb.selectFrom('part as p').select('p.id').whereRef('p.item_id', '=', 'i.id').limit(1)).as('one'),
        jsonBuildObject({ id: eb.ref('i.id'), delete: eb.ref('i.name') }).as('built'),
      ])
      .execute(),
  ),
  replica('distinct on', (db) =>
    db.selectFrom('item').distinctOn('stock').select(['stock', 'id']).orderBy('stock').orderBy('id').execute(),
  ),
  replica('a page', (db) => db.selectFrom('item').select('id').orderBy('id', 'desc').limit(2).offset(1).execute()),
  replica('fetch with ties', (db) =>
    db.selectFrom('item').select('id').orderBy('stock').fetch(2, 'with ties').execute(),
  ),
  replica('set operations', (db) =>
    db
      .selectFrom('item')
      .select('id')
      .union(db.selectFrom('part').select('item_id as id'))
      .unionAll(db.selectFrom('part').select('id'))
      .intersect(db.selectFrom('item').select('id'))
      .except(db.selectFrom('item').select('id').where('id', '=', 3))
      .orderBy('id')
      .execute(),
  ),
  replica('CTEs', (db) =>
    db
      .with('few', (qb) => qb.selectFrom('item').select(['id', 'name']).where('stock', '<', 2))
      .with(
        (cte) => cte('fewer').materialized(),
        (qb) => qb.selectFrom('few').select('id').limit(1),
      )
      .selectFrom('fewer')
      .innerJoin('few', 'few.id', 'fewer.id')
      .selectAll('few')
      .execute(),
  ),
  replica('a CTE with columns', (db) =>
    db
      .with('pair(a, b)', (qb) => qb.selectFrom('item').select(['id as a', 'stock as b']))
      .selectFrom('pair')
      .selectAll()
      .execute(),
  ),
  replica('a recursive CTE', (db) =>
    db
      .withRecursive('up(n)', (qb) =>
        qb
          .selectFrom('item')
          .select('id as n')
          .where('id', '=', 1)
          .unionAll(qb.selectFrom('up').select(sql<number>`n + 1`.as('n')).where('n', '<', 5)),
      )
      .selectFrom('up')
      .selectAll()
      .execute(),
  ),
  replica('a view', (db) => db.selectFrom('stocked').selectAll().execute()),
  replica('a stream', async (db) => {
    const rows: unknown[] = []
    for await (const row of db.selectFrom('item').selectAll().stream(2)) rows.push(row)
    return rows
  }),
  replica('without a table', (db) => db.selectNoFrom(({ val }) => val(1).as('one')).execute()),
  replica('a schema', (db) => db.withSchema('public').selectFrom('item').selectAll('item').execute()),
  replica('the first thing on a connection of its own', (db) =>
    db.connection().execute((one) => one.selectFrom('item').selectAll().execute()),
  ),
]
