import { execFile } from 'node:child_process'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import * as core from '@pg-lifeguard/core'
import * as adapter from '@pg-lifeguard/core/adapter'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { describe, expect, test } from 'vitest'
import { files, read, root } from '../support/workspace.js'

const database = useDatabase()
const here = fileURLToPath(new URL('.', import.meta.url))

/** Runs the built code as a program does, outside of the test runner. */
async function run(args: readonly string[]): Promise<string> {
  const env = { ...process.env, DATABASE: database.url, NODE_OPTIONS: '', NODE_COMPILE_CACHE: '' }
  return (await promisify(execFile)(process.execPath, [...args], { cwd: here, env })).stdout
}

const bundled = ['core', 'drizzle', 'kysely', 'prisma']

/** All that is built of a package. */
const built: Readonly<Record<string, readonly string[]>> = {
  // Two ways into one file.
  core: ['adapter.js', 'index.js', 'lifeguard.js'],
  // Two forms, as Drizzle has them, each of which needs its own.
  drizzle: ['cjs/index.js', 'index.js'],
}

test.each(bundled)('%s is one file', (name) => {
  const forms = built[name] ?? ['index.js']
  expect(files(`packages/${name}/dist/**/*.js`)).toEqual(forms.map((form) => `packages/${name}/dist/${form}`))
})

test('both ways into the core only name what they export of the one file', () => {
  for (const entry of ['index', 'adapter']) {
    expect(read(`packages/core/dist/${entry}.js`)).toMatch(/^export \{ [\w$, ]+ \} from "\.\/lifeguard\.js";\s*$/)
  }
})

test('a program has one core, by whichever way it comes in', async () => {
  const program = `
    import { createRequire } from 'node:module'
    import { InvalidArgumentError } from '@pg-lifeguard/core'
    import * as adapter from '@pg-lifeguard/core/adapter'
    const required = createRequire(import.meta.url)('@pg-lifeguard/core/adapter')
    try { adapter.adapterPool({}) } catch (error) {
      console.log(error instanceof InvalidArgumentError, required.adapterPool === adapter.adapterPool, String(error))
    }`
  expect(
    await run(['--input-type=module', '--eval', program.replaceAll('import.meta.url', `'${import.meta.url}'`)]),
  ).toBe('true true InvalidArgumentError: pool is of type object; allowed: a pool made by createPool()\n')
})

test('what only adapters use is in nobody else’s way', () => {
  expect(Object.keys(core).filter((name) => name in adapter)).toEqual([])
})

/** Milliseconds of processor time of a whole process, which other processes disturb less than the time that passes. */
async function cost(of: string): Promise<number> {
  const measured = `${of}; const { userCPUTime, systemCPUTime } = process.resourceUsage(); console.log((userCPUTime + systemCPUTime) / 1000)`
  return Number(await run(['--input-type=module', '--eval', measured]))
}

test('to import the core costs little more than to import pg', async () => {
  // From many files it was six times as much. The least of several is what it costs when nothing disturbs it.
  const least = { nothing: Infinity, pg: Infinity, core: Infinity }
  const ratio = (): number => (least.core - least.nothing) / (least.pg - least.nothing)
  for (let round = 0; round < 5 || (round < 40 && !(ratio() < 3)); round += 1) {
    least.nothing = Math.min(least.nothing, await cost(''))
    least.pg = Math.min(least.pg, await cost(`await import('pg')`))
    least.core = Math.min(least.core, await cost(`await import('@pg-lifeguard/core')`))
  }
  expect(ratio(), JSON.stringify(least)).toBeLessThan(3)
}, 120_000)

test('classes have their names', () => {
  const exported = Object.entries(core).filter(([, value]) => /^class\b/.test(String(value)))
  expect(exported.length).toBeGreaterThan(20)
  for (const [name, value] of exported) expect((value as { readonly name: string }).name).toBe(name)
})

describe.each([[[]], [['--enable-source-maps']]])('with the flags %j', (flags: readonly string[]) => {
  test('a leak is reported with the line of the program', async () => {
    const program = `${here}programs/leak.mjs`
    const [first = ''] = (await run([...flags, program])).split('\n')
    expect(first).toContain('holdsForTooLong')
    expect(first).toContain(pathToFileURL(program).href)
  })
})

test('source maps lead from a stack to the source', async () => {
  const stack = await run(['--enable-source-maps', `${here}programs/error.mjs`])
  expect(stack).toContain(`${root}packages/core/src/create-pool.ts:`)
  expect(stack).toContain('asksForNothing')
})

/** What Node 20 does not have is taken away before the program begins. */
const node20 = ['--import', 'data:text/javascript,delete Promise.withResolvers']

test.each([
  ['createPool', 'createPool({})'],
  ['createPools', 'createPools({ main: {} }, { budget: { max: 3 } })'],
])('%s says in one line that Node 20 is too old', async (name, call) => {
  const program = `import { ${name} } from '@pg-lifeguard/core'; try { ${call} } catch (error) { console.log(error.code, String(error)) }`
  expect(await run([...node20, '--input-type=module', '--eval', program])).toBe(
    `LIFEGUARD_UNSUPPORTED_RUNTIME UnsupportedRuntimeError: @pg-lifeguard/core needs Node.js 22 or newer, Bun or Deno; this is Node.js ${process.versions.node}, without Promise.withResolvers\n`,
  )
})

test('the program that is tried on other runtimes does what it should', async () => {
  expect(JSON.parse(await run([`${here}programs/runtime.mjs`]))).toEqual({
    query: [{ n: 1 }],
    transaction: [{ n: 2 }],
    lock: 'held',
    stream: [1, 2, 3],
    timeout: true,
    listen: 'hello',
    health: 'up',
  })
})
