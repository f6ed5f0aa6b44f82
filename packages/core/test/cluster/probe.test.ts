import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { afterEach, describe, expect, test } from 'vitest'
import { StatusProbe } from '../../src/cluster/probe.js'
import { Connector } from '../../src/connection/connect/connector.js'
import type { Connection } from '../../src/connection/connection.js'
import { Statement } from '../../src/connection/statement.js'
import { systemClock, systemRandom } from '../../src/deadline/clock.js'
import { Deadline, noDeadline } from '../../src/deadline/deadline.js'
import { resolveOptions } from '../../src/options/pool-options.js'
import { onServer } from '../support/test-cluster.js'
import { rejection } from '../support/test-pool.js'

const database = useDatabase({
  setup: `revoke execute on function pg_walfile_name(pg_lsn) from public`,
})

const open: Connection[] = []

afterEach(async () => {
  for (const connection of open.splice(0)) await connection.close()
})

async function connect(url = database.url): Promise<Connection> {
  const { connect: settings } = resolveOptions({ connectionString: url }, {})
  const connection = await new Connector(settings, 'scout', systemClock, systemRandom).open()
  open.push(connection)
  return connection
}

/** The connection, and the texts that go over it. `answers` stands in for the server where it says something. */
function overheard(connection: Connection, answers: (text: string) => unknown[] | undefined = () => undefined) {
  const asked: string[] = []
  const run: Connection['run'] = async (statement, limit) => {
    const { text } = statement as Statement
    asked.push(text)
    const row = answers(text)
    return row === undefined ? await connection.run(statement, limit) : ({ rows: [row] } as never)
  }
  return { asked, scout: new StatusProbe({ run }) }
}

/** It is as it was: no transaction, nothing under way, and it answers. */
async function expectClean(connection: Connection): Promise<void> {
  expect([connection.status, connection.isQuiet, connection.isAlive]).toEqual(['I', true, true])
  expect((await connection.run(new Statement({ text: 'select 1 as one' }), noDeadline)).rows).toEqual([{ one: 1 }])
}

describe('a server without WAIT FOR LSN', () => {
  test('is asked once whether it has it, without an error, and then never again', async () => {
    const connection = await connect()
    const { asked, scout } = overheard(connection)
    expect(scout.waits).toBeUndefined()
    for (let turn = 0; turn < 3; turn += 1) await scout.waitForReplay(1n, 60_000, noDeadline)
    expect(scout.waits).toBe(false)
    expect(asked).toHaveLength(1)
    await expectClean(connection)
  })

  test('and that seems to have it all the same: its refusal reaches nobody', async () => {
    const connection = await connect()
    const { asked, scout } = overheard(connection, (text) => (text.includes('pg_get_keywords') ? [true] : undefined))
    for (let turn = 0; turn < 3; turn += 1) await scout.waitForReplay(0x1_0000_0001n, 60_000, noDeadline)
    expect(scout.waits).toBe(false)
    expect(asked.slice(1)).toEqual(["wait for lsn '1/1' with (timeout '60000ms', no_throw)"])
    await expectClean(connection)
  })

  test('a connection that is lost is told as that', async () => {
    const connection = await connect()
    const { scout } = overheard(connection)
    connection.terminate()
    expect((await rejection(scout.waitForReplay(1n, 10, noDeadline))).code).toBe('LIFEGUARD_CONNECTION_LOST')
    expect(scout.waits).toBeUndefined()
  })
})

describe('where a server stands', () => {
  test('a primary tells its timeline and its place', async () => {
    const { scout } = overheard(await connect())
    const sighting = await scout.probe(noDeadline, 5)
    expect(sighting).toMatchObject({ askedAt: 5, standby: false, timeline: 1 })
    expect(sighting.lsn).toBeGreaterThan(0n)
  })

  test('a server that does not let its role ask tells its role alone, and is asked for more only once', async () => {
    await onServer(database.url, "create role scout_guest login password 'guest'")
    const url = new URL(database.url)
    url.username = 'scout_guest'
    url.password = 'guest'
    try {
      const connection = await connect(url.href)
      const { asked, scout } = overheard(connection)
      for (let turn = 0; turn < 3; turn += 1) {
        expect(await scout.probe(noDeadline, turn)).toEqual({
          askedAt: turn,
          standby: false,
          timeline: undefined,
          lsn: undefined,
        })
      }
      expect(asked).toHaveLength(4)
      await expectClean(connection)
      await connection.close()
    } finally {
      await onServer(database.url, 'drop role scout_guest')
    }
  })

  test('a server that does not answer in time is not taken for one that cannot', async () => {
    const connection = await connect()
    const { scout } = overheard(connection)
    const busy = connection.run(new Statement({ text: 'select pg_sleep(0.2)' }), noDeadline)
    expect((await rejection(scout.probe(Deadline.after(20, systemClock), 0))).code).toBe('LIFEGUARD_TIMEOUT')
    await busy
    expect((await scout.probe(noDeadline, 0)).lsn).toBeGreaterThan(0n)
  })
})
