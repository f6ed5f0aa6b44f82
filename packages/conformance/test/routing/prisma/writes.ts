import { primary } from './database.js'

/** Everything that changes something, of models, and transactions. */
export const writes = [
  primary('create', (db) => db.item.create({ data: { id: 100, name: 'a' } })),
  primary('create with a selection', (db) => db.item.create({ data: { id: 101, name: 'b' }, select: { id: true } })),
  primary('create with what belongs to it', (db) =>
    db.item.create({ data: { id: 102, name: 'c', parts: { create: [{ id: 102 }] } }, include: { parts: true } }),
  ),
  primary('create for a row that is there', (db) =>
    db.part.create({ data: { id: 103, item: { connect: { id: 100 } } } }),
  ),
  primary('create for a row that may be there', (db) =>
    db.part.create({
      data: { id: 104, item: { connectOrCreate: { where: { id: 103 }, create: { id: 103, name: 'd' } } } },
    }),
  ),
  primary('createMany', (db) =>
    db.item.createMany({
      data: [
        { id: 104, name: 'e' },
        { id: 105, name: 'f' },
      ],
    }),
  ),
  primary('createMany that skips', (db) =>
    db.item.createMany({ data: [{ id: 104, name: 'e' }], skipDuplicates: true }),
  ),
  primary('createManyAndReturn', (db) => db.item.createManyAndReturn({ data: [{ id: 106, name: 'g' }] })),
  primary('update', (db) => db.item.update({ where: { id: 100 }, data: { stock: { increment: 1 } } })),
  primary('update of a column that is called as a keyword', (db) =>
    db.keyword.update({ where: { order: 1 }, data: { update: 'select' } }),
  ),
  primary('update with what belongs to it', (db) =>
    db.item.update({
      where: { id: 100 },
      data: { name: 'b', parts: { updateMany: { where: { id: 103 }, data: { id: 203 } }, create: { id: 204 } } },
      include: { parts: true },
    }),
  ),
  primary('update that disconnects by deleting', (db) =>
    db.item.update({ where: { id: 100 }, data: { parts: { deleteMany: {} } } }),
  ),
  primary('updateMany', (db) => db.item.updateMany({ where: { id: { gte: 104 } }, data: { stock: 2 } })),
  primary('updateManyAndReturn', (db) =>
    db.item.updateManyAndReturn({ where: { id: 104 }, data: { name: 'x' }, select: { id: true } }),
  ),
  primary('upsert of the one column', (db) =>
    db.item.upsert({ where: { id: 107 }, create: { id: 107, name: 'h' }, update: { name: 'i' } }),
  ),
  primary('upsert that reads first', (db) =>
    db.item.upsert({
      where: { id: 107 },
      create: { id: 107, name: 'h' },
      update: { parts: { create: { id: 107 } } },
      include: { parts: true },
    }),
  ),
  primary('delete', (db) => db.item.delete({ where: { id: 101 } })),
  primary('deleteMany', (db) => db.item.deleteMany({ where: { id: 106 } })),
  primary('deleteMany of nothing', (db) => db.item.deleteMany({ where: { id: { in: [] } } })),
  primary(
    '$transaction of reads',
    (db) => db.$transaction([db.item.findMany(), db.item.count()]),
    'everything of a transaction belongs to its connection',
  ),
  primary('$transaction of a write and a read', (db) =>
    db.$transaction([db.item.update({ where: { id: 104 }, data: { name: 'y' } }), db.item.findMany()]),
  ),
  primary('$transaction that reads and writes', (db) =>
    db.$transaction(async (tx) => {
      await tx.item.findUnique({ where: { id: 104 } })
      await tx.item.update({ where: { id: 104 }, data: { name: 'z' } })
    }),
  ),
  primary('$transaction that asks for a lock', (db) =>
    db.$transaction((tx) => tx.$queryRaw`select id from item where id = ${104} for update`),
  ),
]
