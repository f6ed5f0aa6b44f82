import { fork } from 'node:child_process'
import { once } from 'node:events'
import type { Report, Scenario, Size } from './scenario.js'
import type { Subject } from './subject.js'

/** A report, or how the process ended without one. */
export type Outcome =
  | { readonly kind: 'report'; readonly report: Report }
  | { readonly kind: 'died'; readonly how: string }

/** Runs one pool through one scenario in a process of its own. */
export async function runScenario(scenario: Scenario, subject: Subject, { scale }: Size): Promise<Outcome> {
  const child = fork(new URL('./worker.js', import.meta.url), [scenario.name, subject.name, String(scale)], {
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
  })
  let report: Report | undefined
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  child.on('message', (message) => {
    report = message as Report
  })
  const stop = (): void => {
    child.kill('SIGTERM')
  }
  process.once('exit', stop)
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  process.off('exit', stop)
  if (report !== undefined) return { kind: 'report', report }
  const line = said.split('\n').find((one) => /error/i.test(one)) ?? `exit ${signal ?? code}`
  return { kind: 'died', how: line.trim() }
}
