import { EmbeddedPostgresUnavailableError, startCluster } from '@pg-lifeguard/testing'
import type { Orm } from '../orm.js'
import type { Progress } from '../progress.js'
import type { Demo, Findings, Stage } from './demo.js'

/** What one demo came to; `--json` prints it as it is. Described in README.md. */
export interface DemoReport extends Findings {
  readonly demo: string
  /** Whether every claim holds. */
  readonly ok: boolean
  readonly title: string
  readonly orms: readonly Orm[]
  /** Servers included. */
  readonly seconds: number
}

/** Who wants it how. */
export interface Wish {
  readonly orm: Orm | undefined
  readonly size: Stage['size']
}

/**
 * Runs a demo on servers of its own, which are gone when this settles. An abort ends it at once: its connections go with
 * the servers, and whatever it still does fails unheard.
 *
 * @throws the signal's reason; whatever the demo itself could not do
 */
export async function runDemo(demo: Demo, wish: Wish, progress: Progress, signal: AbortSignal): Promise<DemoReport> {
  const since = performance.now()
  progress.show(`${demo.name}: starting PostgreSQL`)
  await using cluster = await start(demo, signal)
  const database = await cluster.createDatabase()
  const orms = ormsOf(demo, wish.orm)
  const stage: Stage = {
    cluster,
    url: database.url,
    replicaUrls: cluster.replicas.map((replica) => database.urlOn(replica)),
    orms,
    size: wish.size,
    show: (text) => progress.show(`${demo.name}: ${text}`),
  }
  const findings = await unlessAborted(demo.run(stage), signal)
  const seconds = Math.round((performance.now() - since) / 100) / 10
  const ok = findings.claims.length > 0 && findings.claims.every(({ holds }) => holds)
  return { demo: demo.name, ok, title: demo.title, orms, seconds, ...findings }
}

/** The one that was asked for, if the demo has it; else all it has. */
export function ormsOf({ orms }: Pick<Demo, 'orms'>, wanted: Orm | undefined): readonly Orm[] {
  return wanted !== undefined && orms.includes(wanted) ? [wanted] : orms
}

/** What is not so, each in one line. */
export function failedClaims({ demo, claims }: Pick<DemoReport, 'demo' | 'claims'>): string[] {
  if (claims.length === 0) return [`${demo}: it claims nothing`]
  return claims
    .filter(({ holds }) => !holds)
    .map(({ claim, seen }) => `${demo}: the claim '${claim}' does not hold: ${seen}`)
}

async function start({ replicas = 0, replicaSettings = {} }: Demo, signal: AbortSignal) {
  try {
    return await startCluster({ replicas, replicaSettings, handleSignals: true, signal })
  } catch (cause) {
    if (!(cause instanceof EmbeddedPostgresUnavailableError)) throw cause
    throw new Error(`${cause.message.split(';')[0]}; this demo needs servers that it may kill`, { cause })
  }
}

async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let onAbort: (() => void) | undefined
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    if (onAbort !== undefined) signal.removeEventListener('abort', onAbort)
  }
}
