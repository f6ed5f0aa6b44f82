import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { demoNames } from '../src/demo-names.js'
import { allDemos } from '../src/demos/all-demos.js'
import { claim, type Demo } from '../src/demos/demo.js'
import { demoScreen, introduction, summary } from '../src/demos/demo-screen.js'
import { failedClaims, ormsOf, runDemo } from '../src/demos/run-demo.js'
import type { DemosReport } from '../src/demos/run-demos.js'
import { Progress } from '../src/progress.js'
import { runDemo as runProgram } from './run-demo.js'

const progress = new Progress(process.stderr)
const short = { orm: undefined, size: 'short' } as const

test('every name has a demo', () => {
  expect(['oversell', ...Object.keys(allDemos)]).toEqual([...demoNames])
  for (const [name, demo] of Object.entries(allDemos)) expect(demo.name).toBe(name)
})

test.each(Object.values(allDemos))(
  '$name: what it claims is so, and fits a terminal of 80 columns',
  async (demo) => {
    const report = await runDemo(demo, short, progress, new AbortController().signal)
    expect(failedClaims(report)).toEqual([])
    expect(report).toMatchObject({ demo: demo.name, ok: true, orms: demo.orms })
    const lines = `${introduction(demo, false)}${demoScreen(demo, report, false)}`.split('\n')
    expect(lines.filter((line) => line.length > 80)).toEqual([])
    expect(lines.length).toBeLessThanOrEqual(36)
  },
  240_000,
)

test('a demo in one ORM, as JSON', async () => {
  const { code, stdout, stderr } = await runProgram(['tenants', '--short', '--orm', 'drizzle', '--json'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const { formatVersion, ok, demos } = JSON.parse(stdout) as DemosReport
  expect({ formatVersion, ok }).toEqual({ formatVersion: 1, ok: true })
  expect(demos).toMatchObject([{ demo: 'tenants', ok: true, orms: ['drizzle'] }])
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  for (const field of Object.keys(demos[0] ?? {})) expect(readme).toContain(`\`${field}\``)
}, 60_000)

test('a demo that is not written in the ORM that was asked for is shown in those that it has', () => {
  expect(ormsOf(allDemos.overload, 'prisma')).toEqual(['sql'])
  expect(ormsOf(allDemos.tenants, 'prisma')).toEqual(['prisma'])
})

test('a claim that does not hold is said with what was seen, and nothing is claimed in silence', async () => {
  const wrong: Demo = {
    ...allDemos.overload,
    run: async () => ({ tables: [], claims: [claim('all is well', false, '3 of 4'), claim('one is one', true, 1)] }),
  }
  const report = await runDemo(wrong, short, progress, new AbortController().signal)
  expect(report.ok).toBe(false)
  expect(failedClaims(report)).toEqual(["overload: the claim 'all is well' does not hold: 3 of 4"])
  expect(demoScreen(wrong, report, false)).toContain('✗ all is well\n    seen: 3 of 4')
  expect(summary([report], false)).toContain('Not everything holds: overload')
  const silent = await runDemo(
    { ...wrong, run: async () => ({ tables: [], claims: [] }) },
    short,
    progress,
    new AbortController().signal,
  )
  expect(silent.ok).toBe(false)
  expect(failedClaims(silent)).toEqual(['overload: it claims nothing'])
}, 60_000)
