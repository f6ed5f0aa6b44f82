import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { Case } from './case.js'
import type { LineUp } from './line-up.js'
import { median } from './load.js'
import type { Peer } from './peer.js'
import type { Progress } from './progress.js'
import type { WorkerAnswer, WorkerOrder } from './worker-protocol.js'

/** How much is measured. */
export interface Pace {
  readonly rounds: number
  /** One reading. */
  readonly roundMs: number
  /** Before the first, for each peer, not counted. */
  readonly warmUpMs: number
}

/** One row of the table. */
export interface Row {
  readonly case: string
  readonly unit: Case['unit']
  /** Whom it compares. */
  readonly lineUp: LineUp
  /** How often each was measured. */
  readonly rounds: number
  /** The median of the rounds, for each peer that can do it. */
  readonly results: Readonly<Record<string, number>>
  /** How many times as good the subject of the line-up is as its yardstick: the median of the rounds' own ratios; above 1 it is better. */
  readonly ratio: number
  /** The same against each of the peers. */
  readonly ratios: Readonly<Record<string, number>>
}

/** Measures one case: all peers once a round, one after the other, so that whatever disturbs the machine meets all. */
export async function measure(testCase: Case, url: string, pace: Pace, progress: Progress): Promise<Row> {
  const { lineUp } = testCase
  const rounds = Math.min(pace.rounds, testCase.mostRounds ?? pace.rounds)
  const readings = new Map<string, number[]>()
  const workers = await Promise.all(lineUp.peers.map((peer) => Worker.start(peer, testCase, url)))
  try {
    const able = workers.filter((worker) => worker.able)
    for (const worker of able) readings.set(worker.peer, [])
    if (testCase.readsWhole !== true) {
      progress.step('warm-up,')
      for (const worker of able) await worker.read(pace.warmUpMs)
    }
    for (let round = 1; round <= rounds; round++) {
      progress.step(`round ${round} of ${rounds}${round === rounds ? '' : ','}`)
      for (const worker of able) readings.get(worker.peer)?.push(await worker.read(pace.roundMs))
    }
  } finally {
    await Promise.all(workers.map((worker) => worker.end()))
  }
  const results = Object.fromEntries([...readings].map(([peer, values]) => [peer, median(values)]))
  const ratios = ratiosOf(readings, testCase)
  const { name, unit } = testCase
  return { case: name, unit, lineUp, rounds, results, ratio: ratios[lineUp.yardstick] ?? Number.NaN, ratios }
}

function ratiosOf(
  readings: ReadonlyMap<string, readonly number[]>,
  { better, lineUp: { subject } }: Case,
): Record<string, number> {
  const mine = readings.get(subject)
  if (mine === undefined) throw new Error(`bug: no readings of ${subject}`)
  const ratios: Record<string, number> = {}
  for (const [peer, theirs] of readings) {
    if (peer === subject) continue
    ratios[peer] = median(
      mine.map((value, round) => {
        const other = theirs[round] ?? Number.NaN
        return better === 'higher' ? value / other : other / value
      }),
    )
  }
  return ratios
}

/** A process that measures one peer when it is asked to. */
class Worker {
  readonly peer: string
  readonly able: boolean
  readonly #child: ChildProcess

  private constructor(peer: string, able: boolean, child: ChildProcess) {
    this.peer = peer
    this.able = able
    this.#child = child
  }

  static async start(peer: Peer, testCase: Case, url: string): Promise<Worker> {
    const child = fork(new URL('./worker.js', import.meta.url), [peer.name, testCase.name, url], {
      execArgv: [...process.execArgv, '--expose-gc'],
    })
    const answer = await nextAnswer(child, `${peer.name} in ${testCase.name}`)
    if (answer.kind !== 'open') throw new Error(`${peer.name} in ${testCase.name}: ${show(answer)}`)
    return new Worker(peer.name, answer.able, child)
  }

  async read(ms: number): Promise<number> {
    const answer = nextAnswer(this.#child, this.peer)
    this.#order({ kind: 'read', ms })
    const said = await answer
    if (said.kind !== 'value') throw new Error(`${this.peer}: ${show(said)}`)
    return said.value
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const exited = once(this.#child, 'exit')
    const impatience = setTimeout(() => this.#child.kill('SIGKILL'), 5_000)
    this.#order({ kind: 'end' })
    await exited
    clearTimeout(impatience)
  }

  #order(order: WorkerOrder): void {
    // A failure shows as the exit of the process, which is waited for anyway.
    this.#child.send(order, () => undefined)
  }
}

async function nextAnswer(child: ChildProcess, who: string): Promise<WorkerAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<WorkerAnswer>()
  const exited = (code: number | null, signal: string | null): void =>
    reject(new Error(`the process of ${who} ended with ${signal ?? code}`))
  child.once('message', resolve)
  child.once('error', reject)
  child.once('exit', exited)
  try {
    return await promise
  } finally {
    child.off('message', resolve)
    child.off('error', reject)
    child.off('exit', exited)
  }
}

function show(answer: WorkerAnswer): string {
  return answer.kind === 'failed' ? answer.message : JSON.stringify(answer)
}
