import dns from 'node:dns'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { afterEach, expect, test, vi } from 'vitest'
import { answeredInTime, eventually, testPool } from '../support/test-pool.js'

const database = useDatabase()

afterEach(() => {
  vi.restoreAllMocks()
})

test('a cancel goes to the address of its connection, wherever the name leads by now', async () => {
  let answer = '127.0.0.1'
  const lookup = dns.lookup as (...args: unknown[]) => void
  vi.spyOn(dns, 'lookup').mockImplementation(((
    name: string,
    options: { readonly all?: boolean },
    back: (...results: unknown[]) => void,
  ) => {
    if (name !== 'db.moving.test') lookup(name, options, back)
    else process.nextTick(() => (options.all ? back(null, [{ address: answer, family: 4 }]) : back(null, answer, 4)))
  }) as never)
  const moving = new URL(database.url)
  moving.hostname = 'db.moving.test'
  const pool = testPool(moving.href, { max: 1 })
  await pool.query('select 1')
  // Nobody listens there.
  answer = '127.0.0.9'
  expect(await answeredInTime(() => pool.query('select pg_sleep(30)', [], { timeoutMs: 200 }))).toMatchObject({
    code: 'LIFEGUARD_TIMEOUT',
    outcome: 'cancelled',
  })
  const beside = testPool(database.url, { max: 1 })
  await eventually('it runs no more', async () => {
    const { rows } = await beside.query(
      "select from pg_stat_activity where query = 'select pg_sleep(30)' and state = 'active'",
    )
    return rows.length === 0
  })
})
