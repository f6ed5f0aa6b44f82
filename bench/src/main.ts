import { writeFile } from 'node:fs/promises'
import { startCluster, startFaultProxy } from '@pg-lifeguard/testing'
import pg from 'pg'
import { chart } from './chart.js'
import { goalLines } from './goals.js'
import { measure, type Row } from './harness.js'
import { describeMachine } from './machine.js'
import { help, type Options, parseOptions, UsageError } from './options.js'
import { progressOn } from './progress.js'
import { setup } from './sql.js'
import { json, table } from './table.js'

async function run({ cases, pace, json: asJson, svg }: Options): Promise<void> {
  await using cluster = await startCluster({ handleSignals: true })
  await using database = await cluster.createDatabase()
  const client = new pg.Client(database.url)
  await client.connect()
  // One statement at a time: VACUUM refuses to run in the transaction of several.
  for (const statement of setup) await client.query(statement)
  await client.end()
  const machine = await describeMachine(database.url)
  const rows: Row[] = []
  const progress = progressOn(process.stderr, cases.length)
  for (const [index, testCase] of cases.entries()) {
    progress.start(testCase.name, index + 1)
    try {
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
