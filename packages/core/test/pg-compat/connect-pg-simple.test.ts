import { useDatabase } from '@pg-lifeguard/testing/vitest'
import connectPgSimple from 'connect-pg-simple'
import session from 'express-session'
import pg from 'pg'
import { expect, test } from 'vitest'
import { eventually, testPool } from '../support/test-pool.js'

const database = useDatabase()

test('connect-pg-simple keeps sessions over the facade, also when its connections are killed', async () => {
  const pool = testPool(database.url, { max: 2 })
  const Store = connectPgSimple(session)
  const store = new Store({ pool: pool.asPgPool(), createTableIfMissing: true, pruneSessionInterval: false })
  const data = { cookie: { originalMaxAge: 60_000 }, user: 'ada' } as unknown as session.SessionData
  const set = (id: string): Promise<void> =>
    new Promise((resolve, reject) => store.set(id, data, (error) => (error ? reject(error) : resolve())))
  const get = (id: string): Promise<session.SessionData | null | undefined> =>
    new Promise((resolve, reject) => store.get(id, (error, found) => (error ? reject(error) : resolve(found))))
  const destroy = (id: string): Promise<void> =>
    new Promise((resolve, reject) => store.destroy(id, (error) => (error ? reject(error) : resolve())))

  await set('one')
  expect(await get('one')).toMatchObject({ user: 'ada' })
  expect((await pool.query('select sid from session')).rows).toEqual([{ sid: 'one' }])

  const admin = new pg.Client(database.url)
  await admin.connect()
  await admin.query(
    'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
  )
  await admin.end()
  await eventually('the dead are gone', () => pool.stats().pool.total === 0)
  expect(await get('one')).toMatchObject({ user: 'ada' })
  await destroy('one')
  expect(await get('one')).toBeUndefined()
  // It does not end a pool that it was given.
  await (store as unknown as { close(): Promise<void> }).close()
  expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
})
