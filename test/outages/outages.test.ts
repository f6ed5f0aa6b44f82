import { expect, test } from 'vitest'
import { Callers, listed, percentile } from './callers.js'
import type { Report } from './scenario.js'
import { scenarios } from './scenarios.js'
import type { Session } from './subject.js'
import { lifeguard } from './subjects/lifeguard.js'
import { broken, table } from './table.js'

/** What depends on how busy this machine is: measured by the command, not here. */
const timed = /within|under|%|memory|attempts a second/

test.each(scenarios)(
  '$name: what does not depend on the speed of the machine holds',
  async (scenario) => {
    const report = await scenario.run(lifeguard, { scale: 0.2 })
    console.info(table({ scenario, outcomes: { lifeguard: { kind: 'report', report } } }, 'lifeguard'))
    const certain = report.claims.filter(({ claim }) => !timed.test(claim))
    expect(report.claims.length).toBeGreaterThan(1)
    expect(certain.filter(({ holds }) => !holds)).toEqual([])
  },
  300_000,
)

test('a promise that does not hold, and a process that dies, are reported', () => {
  const scenario = scenarios[0]
  if (scenario === undefined) throw new Error('bug: no scenario')
  const report: Report = { figures: { calls: 3 }, claims: [{ claim: 'it works', holds: false, seen: 'it does not' }] }
  const said = {
    scenario,
    outcomes: { lifeguard: { kind: 'report', report }, 'pg.Pool': { kind: 'died', how: 'boom' } },
  } as const
  expect(broken(said, 'lifeguard')).toEqual([`${scenario.name}: it works: it does not`])
  expect(broken(said, 'pg.Pool')).toEqual([`${scenario.name}: the process died (boom)`])
  const text = table(said, 'lifeguard')
  for (const part of ['calls', '3', 'pg.Pool: the process died (boom)', 'BROKEN  it works'])
    expect(text).toContain(part)
})

test('callers are made at the rate that was asked for, and each is written down once', async () => {
  const session: Session = {
    query: async (text) => {
      if (text === 'bad') throw Object.assign(new Error('no'), { code: '42601' })
    },
    checkOut: () => Promise.reject(new Error('not here')),
    end: async () => undefined,
  }
  const callers = new Callers(lifeguard, session, 'good')
  await callers.offer(1_000, 100)
  await callers.answered()
  expect([callers.calls, callers.open, callers.outcomes()]).toEqual([100, 0, { ok: 100 }])
  const failing = new Callers(lifeguard, session, 'bad')
  await failing.call()
  expect([failing.outcomes(), failing.answers[0]?.mayHaveBeenSent]).toEqual([{ '42601': 1 }, true])
  expect([percentile([3, 1, 2], 0.5), percentile([], 0.5), listed({ a: 1, b: 2 })]).toEqual([2, Number.NaN, '2 b, 1 a'])
})
