import { createPool } from '@pg-lifeguard/core'
import type { ChaosResult } from './report.js'
import { storm } from './storm.js'
import { measureAborts, tryElection, trySemaphore } from './trials.js'

export interface ChaosOptions {
  readonly url: string
  readonly seed: number
  readonly seconds: number
  readonly kills: number
  readonly processes?: number
  readonly progress?: (what: string) => void
}

const heartbeatMs = 200
/** Two beats, and time for eighteen processes to get their turn on the cores of a small machine. */
const boundMs = 2 * heartbeatMs + 1_000

/** Everything, one after the other, on one database. */
export async function chaosLocks({
  url,
  seed,
  seconds,
  kills,
  processes = 8,
  progress = () => undefined,
}: ChaosOptions): Promise<ChaosResult> {
  const random = seeded(seed)
  await using admin = createPool({ connectionString: url, name: 'referee' })
  progress('locks')
  const stormed = await storm({ admin, url, random, seconds, processes, keys: 20, heartbeatMs, progress })
  progress('killed backends')
  const aborts = await measureAborts(admin, url, kills)
  progress('semaphore')
  const semaphore = await trySemaphore(admin, url, random, { processes: 4, kills: Math.ceil(kills / 5), heartbeatMs })
  progress('election')
  const election = await tryElection(admin, url, { processes: 3, kills: Math.ceil(kills / 5), heartbeatMs })
  return { seed, seconds, heartbeatMs, boundMs, storm: stormed, aborts, semaphore, election }
}

/** mulberry32: https://github.com/cprosche/mulberry32 */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
