import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { demoNames } from '../src/demo-names.js'
import { allDemos } from '../src/demos/all-demos.js'
import { claim, type Demo } from '../src/demos/demo.js'
import { demoScreen } from '../src/demos/demo-screen.js'
import { failedClaims, ormsOf, runDemo } from '../src/demos/run-demo.js'
import type { DemosReport } from '../src/demos/run-demos.js'
import { Servers } from '../src/demos/servers.js'
import { summary } from '../src/demos/summary-screen.js'
import { Progress } from '../src/progress.js'
import { runDemo as runProgram } from './run-demo.js'

test('every name has a demo', () => {
  expect(['oversell', ...Object.keys(allDemos)].toSorted()).toEqual([...demoNames].toSorted())
  for (const [name, demo] of Object.entries(allDemos)) expect(demo.name).toBe(name)
})

test('without a name: every demo says what it is about, shows figures and holds, in 80 columns, and a table ends it', async () => {
  const { code, stdout, stderr } = await runProgram([])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([])
  const starts = demoNames.map((name) => stdout.indexOf(`\n  ${name}: `))
  expect(starts.toSorted((a, b) => a - b)).toEqual(starts)
  const ending = stdout.indexOf('\n  demo  ')
  for (const [index, name] of demoNames.entries()) {
    const section = stdout.slice(starts[index], starts[index + 1] ?? ending).trim()
    const [about = '', figures = '', ...more] = section.split('\n\n')
    expect(about.split('\n').length, about).toBeLessThanOrEqual(4)
    expect(figures, name).toContain('────')
    expect(more.join('\n'), name).toMatch(/^ {2}✓ /m)
    expect(section.split('\n').length, name).toBeLessThanOrEqual(30)
    expect(section).toMatch(/ {2}The code to copy: apps\/example\/src\/[\w/.-]+$/)
  }
  const rows = stdout.slice(ending).split('\n')
  for (const name of demoNames) {
    expect(rows.filter((row) => new RegExp(`^ {2}${name} .* held +\\d+\\.\\d s$`).test(row))).toHaveLength(1)
  }
  expect(stdout).toContain('npx -y pnpm@12 demo all')
}, 240_000)

test('a demo in one ORM, as JSON', async () => {
  const { code, stdout, stderr } = await runProgram(['tenants', '--short', '--orm', 'drizzle', '--json'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const { formatVersion, ok, demos } = JSON.parse(stdout) as DemosReport
  expect({ formatVersion, ok }).toEqual({ formatVersion: 2, ok: true })
  expect(demos).toMatchObject([{ demo: 'tenants', ok: true, orms: ['drizzle'] }])
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  for (const field of Object.keys(demos[0] ?? {})) expect(readme).toContain(`\`${field}\``)
}, 60_000)

test('a demo that is not written in the ORM that was asked for is shown in those that it has', () => {
  expect(ormsOf(allDemos.overload, 'prisma')).toEqual(['sql'])
  expect(ormsOf(allDemos.tenants, 'prisma')).toEqual(['prisma'])
})

test('a claim that does not hold is said with what was seen, and nothing is claimed in silence', async () => {
  await using servers = new Servers({ replicas: 0, port: undefined, signal: new AbortController().signal })
  const run = async (one: Demo) =>
    await runDemo(
      one,
      { orm: undefined, size: 'short' },
      servers,
      new Progress(process.stderr),
      new AbortController().signal,
    )
  const wrong: Demo = {
    ...allDemos.overload,
    run: async () => ({ tables: [], claims: [claim('all is well', false, '3 of 4'), claim('one is one', true, 1)] }),
  }
  const report = await run(wrong)
  expect(report.ok).toBe(false)
  expect(failedClaims(report)).toEqual(["overload: the claim 'all is well' does not hold: 3 of 4"])
  expect(demoScreen(wrong, report, false)).toContain('✗ all is well\n    seen: 3 of 4')
  const table = summary([{ ...report, gist: wrong.gist }], 'short', false)
  expect(table).toMatch(/^ {2}overload {2}answers come in time {2}SQL +NOT HELD/m)
  expect(table).toContain('✗ Not all claims held: overload.')
  const silent = await run({ ...wrong, run: async () => ({ tables: [], claims: [] }) })
  expect(silent.ok).toBe(false)
  expect(failedClaims(silent)).toEqual(['overload: it claims nothing'])
  const broken: Demo = { ...wrong, run: async () => Promise.reject(new Error('no paper')) }
  await expect(run(broken)).rejects.toThrow('overload did not finish: no paper')

  const first = await servers.cluster()
  expect(await servers.cluster()).toBe(first)
  await first.primary.kill()
  const second = await servers.cluster()
  expect(second).not.toBe(first)
  expect(second.primary.running).toBe(true)
}, 60_000)
