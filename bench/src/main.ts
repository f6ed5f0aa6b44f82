import { writeFile } from 'node:fs/promises'
import { startCluster, startFaultProxy } from '@pg-lifeguard/testing'
import pg from 'pg'
import type { Case } from './case.js'
import { chart } from './chart.js'
import { goalLines } from './goals.js'
import { measure, type Row } from './harness.js'
import { chosenPeers } from './limits.js'
import { describeMachine } from './machine.js'
import { help, type Options, parseOptions, UsageError } from './options.js'
import { progressOn } from './progress.js'
import { setup } from './sql.js'
import { json, table } from './table.js'

/** One statement at a time: VACUUM refuses to run in the transaction of several. */
async function prepare(url: string, statements: readonly string[]): Promise<void> {
  const client = new pg.Client(url)
  await client.connect()
  for (const statement of statements) await client.query(statement)
  await client.end()
}

async function run({ cases, pace, limits, json: asJson, svg }: Options): Promise<void> {
  await using cluster = await startCluster({ handleSignals: true })
  await using database = await cluster.createDatabase()
  await prepare(database.url, setup)
  const machine = await describeMachine(database.url)
  const rows: Row[] = []
  const { peersOf, leftOut } = chosenPeers(cases, limits)
  for (const line of leftOut) process.stderr.write(`${line}\n`)
  const progress = progressOn(process.stderr, cases.length)
  for (const [index, chosen] of cases.entries()) {
    progress.start(chosen.name, index + 1)
    const testCase: Case = { ...chosen, lineUp: { ...chosen.lineUp, peers: peersOf(chosen.lineUp) } }
    try {
      await prepare(database.url, testCase.table?.setup ?? [])
      if (testCase.roundTripMs === 0) rows.push(await measure(testCase, database.url, pace, progress))
      else {
        await using proxy = await startFaultProxy({ target: database.url, roundTripMs: testCase.roundTripMs })
        rows.push(await measure(testCase, proxy.url, pace, progress))
      }
    } finally {
      progress.end()
    }
  }
  process.stdout.write(asJson ? json(rows, machine) : table(rows, machine, pace.rounds))
  if (!asJson) process.stdout.write(goalLines(rows))
  if (svg !== undefined) await writeFile(svg, chart(rows, machine, pace.rounds))
}

try {
  const options = parseOptions(process.argv.slice(2))
  if (options.help) process.stdout.write(help)
  else await run(options)
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 2
}
