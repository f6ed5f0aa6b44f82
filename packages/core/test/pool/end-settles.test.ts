import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { describe, expect, test } from 'vitest'
import type { Pool } from '../../src/index.js'
import { rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table item (id int)' })

const many = 'select n, repeat($$x$$, 100) from generate_series(1, 3000000) n'

/** Work that goes on by itself for ever, begun and left; each gives what its caller is told in the end. */
const left: Readonly<Record<string, (pool: Pool) => Promise<{ readonly reported: Promise<unknown> }>>> = {
  async 'a copyTo that nobody reads to its end'(pool) {
    const stream = pool.copyTo({ text: many })
    const failed = new Promise((resolve) => stream.once('error', resolve))
    await new Promise((resolve) => stream.once('readable', resolve))
    return { reported: failed }
  },
  async 'a stream that nobody reads to its end'(pool) {
    const rows = pool.stream(many)
    await rows.next()
    return { reported: Promise.resolve() }
  },
  async 'a copyFrom whose rows never come'(pool) {
    let asked = (): void => undefined
    const isAsked = new Promise<void>((resolve) => {
      asked = resolve
    })
    const never = (async function* () {
      yield [1]
      asked()
      await new Promise(() => undefined)
    })()
    const failed = rejection(pool.copyFrom({ table: 'item', columns: ['id'] }, never))
    await isAsked
    return { reported: failed }
  },
  async 'a connection that is never released'(pool) {
    const connection = await pool.acquire()
    return { reported: rejection(connection.query('select pg_sleep(60)')) }
  },
  async 'a client of the facade that is never released'(pool) {
    const client = await pool.asPgPool().connect()
    client.on('error', () => undefined)
    await client.query('begin')
    return { reported: Promise.resolve() }
  },
  async 'a subscription'(pool) {
    await pool.listen('news', () => undefined)
    return { reported: Promise.resolve() }
  },
  async 'a lock'(pool) {
    const lock = await pool.acquireLock('held')
    return {
      reported: new Promise((resolve) => lock.signal.addEventListener('abort', () => resolve(lock.signal.reason))),
    }
  },
  async 'a transaction whose callback never ends'(pool) {
    let begun = (): void => undefined
    const hasBegun = new Promise<void>((resolve) => {
      begun = resolve
    })
    void pool
      .withTransaction(async (tx) => {
        await tx.query('select 1')
        begun()
        await new Promise(() => undefined)
      })
      .catch(() => undefined)
    await hasBegun
    return { reported: Promise.resolve() }
  },
}

describe('end() settles within its bound, whatever was left half done', () => {
  test.each(Object.entries(left))('%s', async (name, begin) => {
    const pool = testPool(database.url, { name: `end ${name}`, max: 3 })
    const { reported } = await begin(pool)
    await pool.end({ timeoutMs: 100 })
    await reported
    expect(pool.stats()).toMatchObject({ pool: { total: 0, active: 0 }, waits: { waiting: 0 } })
    const beside = testPool(database.url)
    // What ran was cancelled: nothing of the pool is left on the server.
    await expect
      .poll(
        async () => {
          const { rows } = await beside.query('select pid from pg_stat_activity where application_name = $1', [
            `end ${name}`,
          ])
          return rows.length
        },
        { timeout: 20_000 },
      )
      .toBe(0)
  })

  test('a second call, and one from inside of a transaction, settle too', async () => {
    const pool = testPool(database.url)
    const inside = pool.withTransaction(async (tx) => {
      await tx.query('select 1')
      await Promise.all([pool.end({ timeoutMs: 100 }), pool.end({ timeoutMs: 100 })])
    })
    await inside.catch(() => undefined)
    await pool.end()
    expect(pool.stats()).toMatchObject({ pool: { total: 0, active: 0 } })
  })
})
