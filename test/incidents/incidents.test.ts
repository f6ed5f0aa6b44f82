import { startCluster } from '@pg-lifeguard/testing'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { table } from '../outages/table.js'
import { Forwarder } from './forwarder.js'
import { incidents } from './incidents.js'
import { firstSuccess, lastFailure, loadOf, ms, outcomes } from './load.js'
import { codeOf } from './watch.js'

/** What depends on how busy this machine is: measured by the command, not here. */
const timed = /within|attempts a second/

describe('each incident, in short', () => {
  test.each(incidents)(
    '$name: what does not depend on the speed of the machine holds',
    async (incident) => {
      const report = await incident.run({ scale: 0.1 })
      const said = table({ scenario: incident, outcomes: { lifeguard: { kind: 'report', report } } }, 'lifeguard')
      const certain = report.claims.filter(({ claim }) => !timed.test(claim))
      expect(certain.length).toBeGreaterThan(1)
      expect(
        certain.filter(({ holds }) => !holds),
        said,
      ).toEqual([])
      for (const figure of ['callers saw', 'events', 'health()', 'stats(), at worst'])
        expect(report.figures, said).toHaveProperty([figure])
      expect(Object.keys(report.figures).some((figure) => /first (?:success|write) after/.test(figure))).toBe(true)
    },
    120_000,
  )
})

test('the page on incidents has a section for each', async () => {
  const { read } = await import('../support/workspace.js')
  const page = read('docs/incidents.md')
  for (const { name } of incidents) expect(page).toContain(`incidents ${name}`)
})

test('calls are judged by when they were made and answered', async () => {
  let isBroken = true
  const load = loadOf(async () => {
    if (isBroken) throw Object.assign(new Error('no'), { code: '57P01' })
  })
  await load.call()
  isBroken = false
  const at = performance.now()
  await load.call()
  expect(outcomes(load.answers)).toEqual({ '57P01': 1, ok: 1 })
  expect(firstSuccess(load, at)).toBeGreaterThanOrEqual(0)
  expect([lastFailure(load, at), ms(firstSuccess(load, performance.now()))]).toEqual([0, 'never'])
  const caused = new Error('no server', { cause: Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }) })
  expect(codeOf(Object.assign(caused, { code: 'LIFEGUARD_SERVER_UNAVAILABLE' }))).toBe('ECONNREFUSED')
})

test('an address that moves keeps what is open where it is, and takes what comes to the new server', async () => {
  await using old = await startCluster()
  await using other = await startCluster()
  await using forwarder = await Forwarder.start(old.primary.port)
  const portOf = async (client: pg.Client): Promise<number | undefined> =>
    (await client.query<{ port: number }>('select inet_server_port() as port')).rows[0]?.port
  const before = new pg.Client(forwarder.urlFor(old.url))
  await before.connect()
  forwarder.moveTo(other.primary.port)
  const after = new pg.Client(forwarder.urlFor(other.url))
  await after.connect()
  expect([await portOf(before), await portOf(after)]).toEqual([old.primary.port, other.primary.port])
  await Promise.all([before, after].map((client) => client.end()))
})
