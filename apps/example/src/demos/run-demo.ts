import { errorLine } from '../error-lines.js'
import type { Orm } from '../orm.js'
import type { Progress } from '../progress.js'
import type { Demo, Findings, Stage } from './demo.js'
import type { Servers } from './servers.js'

/** What one demo came to; `--json` prints it as it is. Described in README.md. */
export interface DemoReport extends Findings {
  readonly demo: string
  /** Whether every claim holds. */
  readonly ok: boolean
  readonly title: string
  readonly orms: readonly Orm[]
  /** Without the start of the servers. */
  readonly seconds: number
}

/** Who wants it how. */
export interface Wish {
  readonly orm: Orm | undefined
  readonly size: Stage['size']
}

/**
 * Runs a demo in a new database. An abort ends it at once: its connections go with the servers, and whatever it still
 * does fails without a report.
 *
 * @throws the signal's reason; whatever the demo itself could not do, with its name in front
 */
export async function runDemo(
  demo: Demo,
  wish: Wish,
  servers: Servers,
  progress: Progress,
  signal: AbortSignal,
): Promise<DemoReport> {
  progress.show('starting PostgreSQL')
  const cluster = await servers.cluster()
  const since = performance.now()
  const orms = ormsOf(demo, wish.orm)
  const run = async (): Promise<Findings> => {
    const database = await cluster.createDatabase()
    const replicaUrls = cluster.replicas.map((replica) => database.urlOn(replica))
    return await demo.run({
      ...{ cluster, url: database.url, replicaUrls, orms, size: wish.size },
      show: (text) => progress.show(text),
    })
  }
  const findings = await unlessAborted(run(), signal).catch((cause: unknown) => {
    signal.throwIfAborted()
    throw new Error(`${demo.name} did not finish: ${errorLine(cause)}`, { cause })
  })
  const ok = findings.claims.length > 0 && findings.claims.every(({ holds }) => holds)
  return { demo: demo.name, ok, title: demo.title, orms, seconds: secondsSince(since), ...findings }
}

/** With one decimal. */
export function secondsSince(since: number): number {
  return Math.round((performance.now() - since) / 100) / 10
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
