import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** What one work took, in a process that did nothing else. */
export interface WorkerFigures {
  readonly rows: number
  readonly total: number
  /** The most memory that the process had at any time, all of Node.js included. */
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
 * Runs one of the works in a process of its own.
 *
 * @throws with what that process said, when it did not come to an end
 */
export async function measure(name: string, url: string, count: number): Promise<WorkerFigures> {
  const child = fork(worker, [name, url, String(count)], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    execArgv: ['--expose-gc'],
  })
  let figures: WorkerFigures | undefined
  let said = ''
  child.on('message', (message) => {
    figures = message as WorkerFigures
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  if (figures !== undefined) return figures
  const line = said.split('\n').find((one) => /error/i.test(one))
  throw new Error(`${name}: its process ended without a result: ${line ?? signal ?? code}`)
}
