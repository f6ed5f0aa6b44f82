import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createPool, type Pool } from '@pg-lifeguard/core'
import type { Cluster, TestDatabase } from '@pg-lifeguard/testing'
import { randomFrom } from '../support/random.js'
import type { Answer, Asked, ReaderSettings } from './reader-protocol.js'
import { delayReplay } from './replay.js'
import { forEach, Promises, type StageResult } from './stage.js'

const concurrency = 100
/** Items that the pairs write to in turn. */
const items = 1_000
const longestDelayMs = 500

/** What the pairs run on. */
export interface PairsInput {
  readonly cluster: Cluster
  readonly database: TestDatabase
  readonly pairs: number
  readonly seed: number
  /** The compiled program of the reading process. */
  readonly readerPath: string
}

interface Counts {
  pairs: number
  stale: number
  failed: number
  byReplicas: number
}

/** Writes, each followed by a read of what was written, while replicas replay late. */
export async function runPairs({ cluster, database, pairs, seed, readerPath }: PairsInput): Promise<StageResult> {
  const settings: ReaderSettings = {
    connectionString: database.url,
    replicas: cluster.replicas.map((server) => database.urlOn(server)),
    maxLagMs: 10_000,
    causalityWaitMs: 3_000,
    max: 20,
  }
  await using pool = createPool({ ...settings, acquireTimeoutMs: 60_000, overload: false })
  await pool.query('insert into item select id, 0 from generate_series(1, $1) id', [items])
  await cluster.waitForReplicas()
  await pool.read(() => pool.query('select 1'))
  let over = false
  const random = randomFrom(seed)
  const delaying = delayReplay(cluster.replicas, longestDelayMs, random, () => over)
  try {
    const without = await withoutCausality(pool, Math.min(300, pairs))
    const within = await inOneProcess(pool, pairs, random)
    const across = await acrossProcesses(pool, settings, pairs, readerPath)
    const promises = new Promises()
    for (const [how, counts] of Object.entries({ 'one process': within, 'two processes': across })) {
      promises.check(counts.stale === 0, `${how}: ${counts.stale} stale reads`)
      promises.check(counts.failed === 0, `${how}: ${counts.failed} reads failed`)
      promises.check(counts.byReplicas / counts.pairs > 0.9, `${how}: replicas served ${share(counts)} of the reads`)
    }
    promises.check(without.stale > 0, 'no read outside of a line of work was stale: nothing was delayed')
    return {
      stage: `write, then read, with replay 0-${longestDelayMs} ms late`,
      figures: {
        'outside of a line of work': show(without),
        'in one process': show(within),
        'by token in another process': show(across),
      },
      violations: promises.violations,
    }
  } finally {
    over = true
    await delaying
  }
}

/** An id per pair in flight, so that nobody else writes it between the two. */
function itemOf(n: number): number {
  return (n % items) + 1
}

async function readVersion(pool: Pool, id: number): Promise<number | undefined> {
  const { rows } = await pool.read(() =>
    pool.query<{ version: number }>('select version from item where id = $1', [id]),
  )
  return rows[0]?.version
}

async function write(pool: Pool, id: number, inTransaction: boolean): Promise<number | undefined> {
  const text = 'update item set version = version + 1 where id = $1 returning version'
  const { rows } = inTransaction
    ? await pool.withTransaction((tx) => tx.query<{ version: number }>(text, [id]))
    : await pool.query<{ version: number }>(text, [id])
  return rows[0]?.version
}

async function withoutCausality(pool: Pool, pairs: number): Promise<Counts> {
  return await counted(pool, pairs, async (n, counts) => {
    const version = await write(pool, itemOf(n), false)
    if ((await readVersion(pool, itemOf(n))) !== version) counts.stale += 1
  })
}

async function inOneProcess(pool: Pool, pairs: number, random: () => number): Promise<Counts> {
  return await counted(pool, pairs, async (n, counts) => {
    await pool.withCausality(undefined, async () => {
      const version = await write(pool, itemOf(n), random() < 0.5)
      if ((await readVersion(pool, itemOf(n))) !== version) counts.stale += 1
    })
  })
}

async function acrossProcesses(pool: Pool, settings: ReaderSettings, pairs: number, path: string): Promise<Counts> {
  const reader = fork(path, [JSON.stringify(settings)], { execArgv: [] })
  const waiting = new Map<number, (answer: Answer) => void>()
  try {
    await once(reader, 'message')
    reader.on('message', (answer: Answer) => waiting.get(answer.n)?.(answer))
    const lost = once(reader, 'exit').then(() => Promise.reject(new Error('the reading process has ended')))
    lost.catch(() => undefined) // rejected for whoever waits for an answer
    let byReplicas = 0
    const counts = await counted(pool, pairs, async (n, counts) => {
      const id = itemOf(n)
      const { version, token } = await pool.withCausality(undefined, async () => {
        const version = await write(pool, id, n % 2 === 0)
        return { version, token: await pool.causalToken() }
      })
      const { promise, resolve } = Promise.withResolvers<Answer>()
      waiting.set(n, resolve)
      reader.send({ n, id, token } satisfies Asked)
      const answer = await Promise.race([promise, lost])
      waiting.delete(n)
      byReplicas = Math.max(byReplicas, answer.byReplicas)
      if (answer.error !== undefined) counts.failed += 1
      else if (answer.version !== version) counts.stale += 1
    })
    return { ...counts, byReplicas }
  } finally {
    reader.send('end')
    if (reader.exitCode === null) await once(reader, 'exit')
  }
}

async function counted(pool: Pool, pairs: number, pair: (n: number, counts: Counts) => Promise<void>): Promise<Counts> {
  const counts: Counts = { pairs, stale: 0, failed: 0, byReplicas: 0 }
  const stop = pool.on('route', ({ role }) => {
    if (role === 'replica') counts.byReplicas += 1
  })
  try {
    await forEach(pairs, Math.min(concurrency, items), (n) => pair(n, counts))
  } finally {
    stop()
  }
  return counts
}

function share({ byReplicas, pairs }: Counts): string {
  return `${((100 * byReplicas) / pairs).toFixed(1)} %`
}

function show(counts: Counts): string {
  return `${counts.pairs} pairs, ${counts.stale} stale, ${share(counts)} by replicas`
}
