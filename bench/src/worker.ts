import pg from 'pg'
import type { Bench } from './case.js'
import { cases } from './cases.js'
import { median } from './load.js'
import { countSink, emptySink, readCounter } from './sql.js'
import type { WorkerAnswer, WorkerOrder } from './worker-protocol.js'

/**
 * The process of one peer in one case. Peers share no process: what one makes of the code that they have in common
 * (`pg` above all: its inline caches, its garbage) would change the speed of the next.
 */

/** Before each reading, and not counted: wakes connections that have been idle while others were measured. */
const leadInMs = 25
const roundTrips = 9

const [peerName, caseName, url] = process.argv.slice(2)
const testCase = cases.find(({ name }) => name === caseName)
const peer = testCase?.lineUp.peers.find(({ name }) => name === peerName)
if (peer === undefined || testCase === undefined || url === undefined || process.send === undefined) {
  throw new Error('bug: a worker is started by the harness alone')
}

const client = new pg.Client(url)
await client.connect()
const session = await peer.open(url, testCase.connectionsOf?.[peer.name] ?? testCase.connections)

async function measureRoundTrip(): Promise<number> {
  const times: number[] = []
  for (let n = 0; n < roundTrips; n++) {
    const start = performance.now()
    await client.query('select 1')
    times.push(performance.now() - start)
  }
  return median(times)
}

async function counter(): Promise<number> {
  const { rows } = await client.query<{ value: number }>(readCounter, [1])
  return rows[0]?.value ?? 0
}

async function emptied(): Promise<number> {
  const { rows } = await client.query<{ n: number }>(countSink)
  await client.query(emptySink)
  return rows[0]?.n ?? 0
}

async function read(ms: number): Promise<number> {
  const bench: Bench = { ms, measureRoundTrip, emptySink: emptied, readCounter: counter }
  if (testCase?.readsWhole !== true) await testCase?.read(session, { ...bench, ms: leadInMs })
  globalThis.gc?.()
  return (await testCase?.read(session, bench)) ?? Number.NaN
}

function answer(message: WorkerAnswer): void {
  process.send?.(message)
}

process.on('message', (order: WorkerOrder) => {
  if (order.kind === 'read') {
    read(order.ms).then(
      (value) => answer({ kind: 'value', value }),
      (error: unknown) =>
        answer({ kind: 'failed', message: error instanceof Error ? (error.stack ?? '') : String(error) }),
    )
  } else {
    void Promise.allSettled([session.end(), client.end()]).then(() => process.exit(0))
  }
})
process.on('disconnect', () => process.exit(0))

answer({ kind: 'open', able: testCase.needs.every((ability) => session[ability] !== undefined) })
