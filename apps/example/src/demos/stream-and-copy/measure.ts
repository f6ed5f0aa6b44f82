import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** What one work is done on. */
export interface Load {
  readonly url: string
  /** Rows that are there, or are to be made. */
  readonly count: number
}

/** What one work took on one load, in a process that does nothing else. */
export interface WorkerFigures {
  readonly rows: number
  readonly total: number
  /** The most memory that the process has had so far, all of Node.js included. */
  readonly peakMb: number
  /** The most of its JavaScript memory that was still in use when garbage had just been collected. */
  readonly keptMb: number
  readonly seconds: number
}

/** The compiled form, also when the tests run this file from its source. */
const worker = fileURLToPath(
  new URL(
    import.meta.url.endsWith('.ts') ? '../../../dist/demos/stream-and-copy/worker.js' : './worker.js',
    import.meta.url,
  ),
)

/**
 * Does one of the works on some loads, one after the other in a process of its own; gives the figures of each.
 *
 * @throws with what that process said, when it did not come to an end
 */
export async function measure(name: string, loads: readonly Load[]): Promise<readonly WorkerFigures[]> {
  const child = fork(worker, [name, JSON.stringify(loads)], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    execArgv: ['--expose-gc'],
  })
  let figures: readonly WorkerFigures[] | undefined
  let said = ''
  child.on('message', (message) => {
    figures = message as readonly WorkerFigures[]
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  if (figures !== undefined) return figures
  const line = said.split('\n').find((one) => /error/i.test(one))
  throw new Error(`${name}: its process ended without a result: ${line ?? signal ?? code}`)
}
