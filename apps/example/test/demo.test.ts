import { readFile } from 'node:fs/promises'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { expect, test } from 'vitest'
import { demoNames } from '../src/demo-names.js'
import type { Report } from '../src/report.js'
import { runDemo } from './run-demo.js'

/** For all that is not about the embedded server: it is there already. */
const database = useDatabase()
const rightWays = ['for-update', 'lock', 'serializable', 'optimistic']

function reportOf(stdout: string): Report {
  return JSON.parse(stdout) as Report
}

test('500 buyers and 100 tickets: the naive way oversells, every other way sells exactly the tickets', async () => {
  const { code, stdout, stderr } = await runDemo(['oversell', '--json'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const report = reportOf(stdout)
  expect(report).toMatchObject({
    formatVersion: 1,
    ok: true,
    buyers: 500,
    tickets: 100,
    runs: 1,
    poolSize: 10,
    server: { kind: 'embedded' },
  })
  expect(report.ways.map(({ name }) => name)).toEqual(['naive', ...rightWays])
  expect(report.others.map(({ orm }) => orm)).toEqual(['sql', 'drizzle', 'prisma'])
  for (const { name, oversells, ok, sales } of [...report.ways, ...report.others]) {
    expect({ name, ok, sales: sales.length }).toEqual({ name, ok: true, sales: 1 })
    for (const sale of sales) {
      expect(sale).toMatchObject({ failed: 0, soldWithoutTicket: 0, ticketWithoutSold: 0, problems: [] })
      expect(sale.sold + sale.turnedAway).toBe(500)
      expect(sale.connections).toBeLessThanOrEqual(10)
      if (oversells) expect(sale.oversold).toBeGreaterThan(0)
      else expect(sale).toMatchObject({ sold: 100, oversold: 0, turnedAway: 400 })
    }
  }
}, 120_000)

test('several runs of some ways, with the dashes that pnpm hands on', async () => {
  const args = [
    '--',
    'oversell',
    '--json',
    '--buyers',
    '60',
    '--tickets',
    '7',
    '--runs',
    '5',
    '--way',
    'optimistic',
    '--way',
    'lock',
  ]
  const { code, stdout } = await runDemo(args, { DATABASE_URL: database.url })
  expect(code).toBe(0)
  const report = reportOf(stdout)
  expect(report.ways.map(({ name }) => name)).toEqual(['lock', 'optimistic'])
  for (const { sales } of report.ways) expect(sales.map(({ sold }) => sold)).toEqual([7, 7, 7, 7, 7])
}, 60_000)

test('a person gets a table without colours when there is no terminal, and it fits one screen', async () => {
  const { code, stdout, stderr } = await runDemo(['oversell', '--buyers', '100', '--tickets', '20', '--runs', '2'], {
    DATABASE_URL: database.url,
  })
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).not.toContain('\u001b')
  const lines = stdout.split('\n')
  expect(lines.length).toBeLessThanOrEqual(36)
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80)
  for (const way of ['✗ naive', ...rightWays.map((name) => `✓ ${name}`)]) {
    expect(lines.filter((line) => line.includes(`${way} `))).toHaveLength(2)
  }
  expect(stdout.match(/2 of 2/g)).toHaveLength(8)
  for (const orm of ['sql', 'drizzle', 'prisma'])
    expect(lines.filter((line) => line.includes(`✓ lock, ${orm}`))).toHaveLength(1)
}, 60_000)

test.each(['sql', 'drizzle', 'prisma'])(
  'every way through %s',
  async (orm) => {
    const { code, stdout } = await runDemo(['oversell', '--json', '--orm', orm, '--buyers', '100', '--tickets', '20'], {
      DATABASE_URL: database.url,
    })
    expect(code).toBe(0)
    const report = reportOf(stdout)
    expect(report).toMatchObject({ ok: true, orm, others: [] })
    expect(report.ways.map(({ name }) => name)).toEqual(['naive', ...rightWays])
  },
  60_000,
)

test('--help names every option', async () => {
  const { code, stdout, stderr } = await runDemo(['--help'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  for (const option of [
    '--buyers',
    '--tickets',
    '--way',
    '--runs',
    '--json',
    '--port',
    '--orm',
    '--short',
    '--help',
    'DATABASE_URL',
    ...demoNames,
  ]) {
    expect(stdout).toContain(option)
  }
})

test('the README says what every field of the JSON document means', async () => {
  const { stdout } = await runDemo(['oversell', '--json', '--buyers', '12', '--tickets', '3', '--way', 'lock'], {
    DATABASE_URL: database.url,
  })
  const { ways, ...report } = reportOf(stdout)
  const [way] = ways
  const [sale] = way?.sales ?? []
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  for (const field of [...Object.keys(report), ...Object.keys(way ?? {}), ...Object.keys(sale ?? {})]) {
    expect(readme).toContain(`\`${field}\``)
  }
})
