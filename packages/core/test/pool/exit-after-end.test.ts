import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { expect, test } from 'vitest'

const database = useDatabase()
const index = new URL('../../dist/index.js', import.meta.url)

/** What a program has begun when it ends its pool; the pool's bound is shorter than any of it would last. */
const begun: Readonly<Record<string, string>> = {
  nothing: ``,
  'a query that was answered': `await pool.query('select 1')`,
  'a subscription': `await pool.listen('news', () => undefined)`,
  'a subscription that still waits': `pool.listen('news', () => undefined).catch(() => undefined)`,
  'a leader that hears': `
    await new Promise((leads) => {
      pool.elect('scheduler', ({ signal }) => { leads(); return new Promise((told) => signal.addEventListener('abort', told)) })
    })`,
  'a leader that does not hear': `
    await new Promise((leads) => pool.elect('scheduler', () => { leads(); return new Promise(() => undefined) }))`,
  'a candidate': `
    const other = createPool({ connectionString: process.env.DATABASE })
    pools.push(other)
    await new Promise((leads) => other.elect('scheduler', () => { leads(); return new Promise(() => undefined) }))
    pool.elect('scheduler', () => new Promise(() => undefined))
    while ((await other.listLocks()).length < 2) await new Promise(setImmediate)`,
  'a lock': `await pool.acquireLock('held')`,
  'a callback under a lock that never ends': `
    await new Promise((held) => pool.withLock('held', () => { held(); return new Promise(() => undefined) }).catch(() => undefined))`,
  'who waits for a lock': `
    await pool.acquireLock('held')
    pool.withLock('held', async () => undefined).catch(() => undefined)`,
  'who waits for the migration lock': `
    await new Promise((held) => pool.withMigrationLock(() => { held(); return new Promise(() => undefined) }).catch(() => undefined))
    pool.withMigrationLock(async () => undefined).catch(() => undefined)`,
  'a semaphore': `
    await new Promise((held) => pool.withSemaphore('few', 2, () => { held(); return new Promise(() => undefined) }).catch(() => undefined))`,
  'a transaction whose callback never ends': `
    await new Promise((held) => pool.withTransaction(async (tx) => {
      await tx.query('select 1')
      held()
      await new Promise(() => undefined)
    }).catch(() => undefined))`,
  'a transaction that is ended by hand, and never is': `await (await pool.beginTransaction()).query('select 1')`,
  'a stream half read': `await pool.stream(many).next()`,
  'a copyTo half read': `
    const copy = pool.copyTo({ text: many }).on('error', () => undefined)
    await new Promise((readable) => copy.once('readable', readable))`,
  'a batch': `pool.batch([{ text: 'select 1' }, { text: 'select pg_sleep(60)' }]).catch(() => undefined)`,
  'a statement that runs': `pool.query('select pg_sleep(60)').catch(() => undefined)`,
  'who waits for a connection': `
    for (let n = 0; n < 4; n++) pool.query('select pg_sleep(60)').catch(() => undefined)
    pool.acquire().catch(() => undefined)`,
  'a connection that is never released': `await pool.acquire()`,
  'a client of the facade with an open transaction': `await (await pool.asPgPool().connect()).query('begin')`,
}

/** A program as a user's is: it begins something, ends its pool, and is expected to end by itself. */
function programOf(begin: string, options: string): string {
  return `
    const { createPool } = await import(${JSON.stringify(index.href)})
    const many = "select n, repeat('x', 100) from generate_series(1, 1000000) n"
    const pool = createPool({ connectionString: process.env.DATABASE, max: 3, ${options} })
    const pools = [pool]
    ${begin}
    await Promise.all(pools.map((one) => one.end({ timeoutMs: 100 })))
    process.stdout.write('ended')`
}

async function run(program: string): Promise<unknown> {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    env: { ...process.env, DATABASE: database.url },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 30_000,
    killSignal: 'SIGKILL',
  })
  const over = new Promise<unknown>((resolve) => child.once('close', (code, signal) => resolve(code ?? signal)))
  const [said, complaints] = await Promise.all([text(child.stdout), text(child.stderr)])
  return { exit: await over, said, complaints }
}

const asItShouldBe = { exit: 0, said: 'ended', complaints: '' }

test.each(Object.entries(begun))('a program exits by itself after end(), with %s', async (_, begin) => {
  expect(await run(programOf(begin, ''))).toEqual(asItShouldBe)
})

test.each(['a query that was answered', 'a subscription', 'a leader that hears', 'a stream half read'])(
  'with replicas too: %s',
  async (name) => {
    const begin = `await pool.read(() => pool.query('select 1'));${begun[name]}`
    expect(await run(programOf(begin, 'replicas: [process.env.DATABASE], min: 2'))).toEqual(asItShouldBe)
  },
)
