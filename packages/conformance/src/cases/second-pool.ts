import assert from 'node:assert/strict'
import type { Case } from '../case.js'

export const secondPoolCases: readonly Case[] = [
  {
    name: 'second pool: fifty calls at once open no more connections than max',
    async run({ openPool, sessions, database, admin }) {
      const { handle, pool } = await openPool({ max: 3 })
      const most = async (): Promise<number> => {
        const { rows } = await admin.query<{ all: number }>(
          'select count(*)::int as all from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()',
          [new URL(database.url).pathname.slice(1)],
        )
        return rows[0]?.all ?? assert.fail('no count')
      }
      const before = await most()
      let seen = 0
      let isOver = false
      const watching = (async () => {
        while (!isOver) seen = Math.max(seen, (await most()) - before)
      })()
      const names = await Promise.all(
        Array.from({ length: 50 }, async (_, id) => {
          await handle.insert({ id, name: `item ${id}` })
          if (id % 5 === 0) await handle.withTransaction((tx) => tx.update(id, { stock: 1 }))
          if (id % 5 === 1) await handle.ownTransaction((tx) => tx.update(id, { stock: 1 }))
          return (await handle.find(id))?.name
        }),
      )
      isOver = true
      await watching
      assert.deepEqual(
        names,
        names.map((_, id) => `item ${id}`),
      )
      assert.ok(seen >= 1 && seen <= 3, `${seen} sessions at once`)
      assert.ok((await sessions()).length <= 3)
      assert.ok(pool.stats().pool.total <= 3)
    },
  },
  {
    name: 'second pool: everything runs under the name of the pool',
    async run({ handle, sessions }) {
      const pids = await Promise.all([
        handle.query<{ pid: number }>('select pg_backend_pid() as pid'),
        handle.withTransaction((tx) => tx.query<{ pid: number }>('select pg_backend_pid() as pid')),
        handle.ownTransaction((tx) => tx.query<{ pid: number }>('select pg_backend_pid() as pid')),
      ])
      const own = (await sessions()).map(({ pid }) => pid)
      for (const [row] of pids) assert.ok(own.includes(row?.pid ?? 0), `${row?.pid} is none of [${own.join(', ')}]`)
    },
  },
]
