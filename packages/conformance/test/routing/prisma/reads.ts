import { replica } from './database.js'

/** Reads of models. */
export const reads = [
  replica('findMany', (db) => db.item.findMany()),
  replica('findUnique', (db) => db.item.findUnique({ where: { id: 1 } })),
  replica('findUniqueOrThrow', (db) => db.item.findUniqueOrThrow({ where: { id: 1 } })),
  replica('findFirst', (db) => db.item.findFirst({ where: { stock: { gt: 0 } }, orderBy: { id: 'desc' } })),
  replica('findFirstOrThrow', (db) => db.item.findFirstOrThrow({ where: { name: { startsWith: 'item' } } })),
  replica('two findUnique of one tick', (db) =>
    Promise.all([db.item.findUnique({ where: { id: 1 } }), db.item.findUnique({ where: { id: 2 } })]),
  ),
  replica('a value that says delete', (db) => db.item.findMany({ where: { name: 'x; delete from item for update' } })),
  replica('columns that are called as keywords', (db) =>
    db.keyword.findMany({ where: { update: { not: null }, delete: false }, orderBy: { order: 'asc' } }),
  ),
  replica('a selection', (db) => db.keyword.findMany({ select: { for: true, into: true } })),
  replica('conditions', (db) =>
    db.item.findMany({
      where: {
        OR: [{ stock: { in: [1, 2] } }, { NOT: { id: { gt: 9 } }, name: { contains: 'M 1', mode: 'insensitive' } }],
      },
    }),
  ),
  replica('a comparison of columns', (db) => db.item.findMany({ where: { stock: { lt: db.item.fields.version } } })),
  replica('a page', (db) => db.item.findMany({ orderBy: { id: 'desc' }, skip: 1, take: 2 })),
  replica('a page after a row', (db) => db.item.findMany({ cursor: { id: 2 }, take: 2, orderBy: { id: 'asc' } })),
  replica('distinct', (db) => db.item.findMany({ distinct: ['stock'], select: { stock: true } })),
  replica('what belongs to a row, joined', (db) =>
    db.item.findMany({ relationLoadStrategy: 'join', include: { parts: true } }),
  ),
  replica('what belongs to a row, as queries of their own', (db) =>
    db.item.findMany({ relationLoadStrategy: 'query', include: { parts: true } }),
  ),
  replica('what a row belongs to', (db) => db.part.findMany({ include: { item: { select: { name: true } } } })),
  replica('relations of relations', (db) =>
    db.item.findMany({ include: { parts: { include: { item: { include: { parts: { take: 1 } } } } } } }),
  ),
  replica('the way along a relation', (db) => db.item.findUniqueOrThrow({ where: { id: 1 } }).parts()),
  replica('some of a relation', (db) => db.item.findMany({ where: { parts: { some: { id: { gt: 1 } } } } })),
  replica('every and none of a relation', (db) =>
    db.item.findMany({ where: { parts: { every: { id: { gt: 0 } }, none: { id: -1 } } } }),
  ),
  replica('a condition on what a row belongs to', (db) => db.part.findMany({ where: { item: { is: { stock: 1 } } } })),
  replica('the number of a relation', (db) =>
    db.item.findMany({ select: { id: true, _count: { select: { parts: true } } } }),
  ),
  replica('in the order of a relation', (db) =>
    db.item.findMany({ orderBy: [{ parts: { _count: 'desc' } }, { id: 'asc' }] }),
  ),
  replica('count', (db) => db.item.count({ where: { stock: 0 } })),
  replica('count of columns', (db) => db.keyword.count({ select: { _all: true, update: true } })),
  replica('aggregate', (db) => db.item.aggregate({ _sum: { stock: true }, _max: { id: true }, _avg: { stock: true } })),
  replica('groupBy', (db) =>
    db.item.groupBy({
      by: ['stock'],
      _count: { _all: true },
      having: { stock: { gte: 0 } },
      orderBy: { stock: 'asc' },
    }),
  ),
]
