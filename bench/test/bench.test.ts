import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const main = fileURLToPath(new URL('../dist/main.js', import.meta.url))

interface Run {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

function bench(args: readonly string[], env: Record<string, string> = {}): Promise<Run> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [main, ...args], { env: { ...process.env, ...env } })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, stdout, stderr }))
  })
}

/** Processes that inherited this variable, by their command. Linux shows them; elsewhere the folder alone is looked at. */
function descendants(mark: string): string[] {
  if (!existsSync('/proc/self/environ')) return []
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return []
    try {
      const isOurs = readFileSync(`/proc/${pid}/environ`, 'utf8').includes(mark)
      return isOurs ? [readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')] : []
    } catch {
      return [] // it has just ended
    }
  })
}

/** What the last process to go leaves for a moment, it leaves for seconds at most. */
async function untilEmpty(list: () => string[]): Promise<string[]> {
  for (let n = 0; n < 100 && list().length > 0; n++) await sleep(50)
  return list()
}

describe('the bench', () => {
  test('measures every peer in turn, says so in JSON, and leaves nothing', { timeout: 150_000 }, async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'bench-test-'))
    chmodSync(folder, 0o755)
    const mark = `bench-test-${randomUUID()}`
    try {
      const names = ['acquire-each', 'transaction-1-2ms', 'rows-100-rate', 'orm-select-64-on-8-loopback']
      const args = ['--quick', '--rounds', '2', '--json', ...names.flatMap((name) => ['--case', name])]
      const { code, stdout, stderr } = await bench(args, { TMPDIR: folder, LIFEGUARD_BENCH_MARK: mark })
      const steps = 'warm-up, round 1 of 2, round 2 of 2'
      expect({ code, stderr }).toEqual({
        code: 0,
        stderr: [
          `[1/6] acquire-each: ${steps}`,
          `[2/6] transaction-1-2ms: ${steps}`,
          `[3/6] rows-100-rate: ${steps}`,
          `[4/6] orm-select-64-on-8-loopback-kysely: ${steps}`,
          `[5/6] orm-select-64-on-8-loopback-drizzle: ${steps}`,
          `[6/6] orm-select-64-on-8-loopback-prisma: ${steps}`,
          '',
        ].join('\n'),
      })
      const number = expect.any(Number)
      const common = {
        ratio: number,
        rounds: 2,
        machine: { cpu: expect.any(String), cores: number, node: expect.any(String), postgresql: expect.any(String) },
      }
      const ofPools = { subject: 'lifeguard', yardstick: 'pg.Pool' }
      expect(JSON.parse(stdout)).toEqual([
        {
          ...common,
          ...ofPools,
          case: 'acquire-each',
          unit: 'ns',
          results: { lifeguard: number, 'pg.Pool': number, 'postgres.js': number, slonik: number },
          ratios: { 'pg.Pool': number, 'postgres.js': number, slonik: number },
        },
        {
          ...common,
          ...ofPools,
          case: 'transaction-1-2ms',
          unit: 'round trips',
          results: {
            lifeguard: number,
            'pg.Pool': number,
            'pg.Pool named': number,
            'postgres.js': number,
            slonik: number,
            'pg pipelined': number,
          },
          ratios: expect.objectContaining({ 'pg.Pool': number, 'pg pipelined': number }),
        },
        {
          ...common,
          ...ofPools,
          case: 'rows-100-rate',
          unit: 'rows/s',
          results: {
            lifeguard: number,
            'pg.Pool': number,
            'pg.Pool named': number,
            'postgres.js': number,
            slonik: number,
          },
          ratios: { 'pg.Pool': number, 'pg.Pool named': number, 'postgres.js': number, slonik: number },
        },
        ...['kysely', 'drizzle', 'prisma'].map((orm) => ({
          ...common,
          subject: 'ORM on lifeguard',
          yardstick: 'ORM on pg.Pool',
          case: `orm-select-64-on-8-loopback-${orm}`,
          unit: 'ops/s',
          results: { 'ORM on lifeguard': number, 'ORM on pg.Pool': number, 'ORM alone': number, 'no ORM': number },
          ratios: { 'ORM on pg.Pool': number, 'ORM alone': number, 'no ORM': number },
        })),
      ])
      expect(await untilEmpty(() => readdirSync(folder))).toEqual([])
      expect(await untilEmpty(() => descendants(mark))).toEqual([])
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  test.each([
    [['--case', 'nothing'], /^--case nothing: no such case; there are acquire, .*\n$/],
    [['--rounds', '0'], /^--rounds 0: a whole number from 1 to 1000 is needed\n$/],
    [['--rounds', 'x'], /^--rounds x: .*\n$/],
    [['--fast'], /^Unknown option '--fast'.*\n$/],
    [['fast'], /^Unexpected argument 'fast'.*\n$/],
  ])('refuses %j with one line, before anything is started', async (args, line) => {
    const { code, stdout, stderr } = await bench(args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(line)
    expect(stderr.trimEnd()).not.toContain('\n')
  })

  test('lists its cases', async () => {
    const { code, stdout } = await bench(['--help'])
    expect(code).toBe(0)
    expect(stdout).toContain('select-64-on-8-loopback')
  })
})
