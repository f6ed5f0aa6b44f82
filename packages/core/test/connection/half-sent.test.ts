import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { expect, test } from 'vitest'
import { Connection } from '../../src/connection/connection.js'
import { Exchange, type Messages } from '../../src/connection/exchange.js'
import { Statement } from '../../src/connection/statement.js'
import { systemClock } from '../../src/deadline/clock.js'
import { noDeadline } from '../../src/deadline/deadline.js'
import { eventually, rejection, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table item (id int primary key)' })
const failure = new Error('this cannot be sent')

/** Writes one statement, and fails at the next: before or after the first has left, at once or later. */
class Breaking extends Exchange<undefined> {
  readonly #hasLeft: boolean
  readonly #isLater: boolean
  isTold = false

  constructor(hasLeft: boolean, isLater = false) {
    super([])
    this.#hasLeft = hasLeft
    this.#isLater = isLater
  }

  override get outcome(): undefined {
    return undefined
  }

  protected override onError(): void {
    this.isTold = true
  }

  protected override begin(messages: Messages): void {
    messages.parse('insert into item values (1)')
    messages.bind([])
    messages.execute()
    if (this.#hasLeft) messages.flush()
    if (this.#isLater) setImmediate(() => messages.breakOff(failure))
    else throw failure
  }
}

async function session(): Promise<Connection> {
  const url = new URL(database.url)
  return await Connection.open(
    {
      host: url.hostname,
      port: Number(url.port),
      user: url.username,
      password: url.password,
      database: url.pathname.slice(1),
    },
    systemClock,
  )
}

async function rows(): Promise<number> {
  return (await testPool(database.url, { max: 1 }).query('select from item')).rowCount ?? Number.NaN
}

test('what cannot be sent, and of which nothing has left, costs its own caller an error and nobody else', async () => {
  const connection = await session()
  const breaking = new Breaking(false)
  expect(await rejection(connection.run(breaking, noDeadline))).toBe(failure)
  expect(breaking.isTold).toBe(true)
  const { rows: next } = await connection.run(new Statement({ text: 'select 1 as n' }), noDeadline)
  expect(next).toEqual([{ n: 1 }])
  expect(await rows()).toBe(0)
  await connection.close()
})

test.each([
  ['at once', false],
  ['later', true],
])(
  'what has left in part and cannot be sent to its end, %s, ends the session, and nothing of it is done',
  async (_when, isLater) => {
    const connection = await session()
    const { pid } = connection
    const behind = new Statement({ text: 'select 1' })
    const outcomes = await Promise.allSettled([
      connection.run(new Breaking(true, isLater), noDeadline),
      connection.run(behind, noDeadline),
    ])
    expect(outcomes).toMatchObject([
      { status: 'rejected', reason: failure },
      { status: 'rejected', reason: { code: 'LIFEGUARD_CONNECTION_LOST', sent: false } },
    ])
    expect(connection.isAlive).toBe(false)
    const pool = testPool(database.url, { max: 1 })
    await eventually('its backend is gone', async () => {
      const { rowCount } = await pool.query('select from pg_stat_activity where pid = $1', [pid])
      return rowCount === 0
    })
    expect(await rows()).toBe(0)
  },
)
