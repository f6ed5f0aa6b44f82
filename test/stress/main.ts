import { parseArgs } from 'node:util'
import { startCluster } from '@pg-lifeguard/testing'
import { runProgram, UsageError, wholeNumber } from '../support/usage.js'
import { text } from './report.js'
import { runStress } from './stress.js'

const help = `pnpm stress [options]

Random operations on one pool and a real server: acquire, release, query, abort, timeout, kill, flush, pause, resize,
transaction. The server must never see more sessions than allowed, every caller must be answered in time, and nothing may
be left over.

  --operations N  how many, 1 to 10000000 (default 100000)
  --seed S        a whole number: the same one gives the same operations (default: by chance, printed)
  --json          the result as JSON on standard output
  --help          this text
`

await runProgram(async (args) => {
  const { values } = parse(args)
  if (values.help === true) {
    process.stdout.write(help)
    return
  }
  const chance = String(Math.floor(Math.random() * 2 ** 31))
  const seed = wholeNumber('--seed', values.seed ?? chance, 0, 2 ** 32 - 1)
  const operations = wholeNumber('--operations', values.operations ?? '100000', 1, 10_000_000)
  // First of all, so that it is known whatever happens.
  process.stderr.write(`seed ${seed}\n`)
  await using cluster = await startCluster({ handleSignals: true })
  await using database = await cluster.createDatabase()
  const report = await runStress({
    url: database.url,
    seed,
    operations,
    onProgress: (done) => {
      if (process.stderr.isTTY) process.stderr.write(`\r${done} of ${operations} operations   `)
    },
  })
  if (process.stderr.isTTY) process.stderr.write('\n')
  process.stdout.write(values.json === true ? `${JSON.stringify(report, undefined, 2)}\n` : text(report))
  if (report.violations.length > 0) process.exitCode = 1
})

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      // `pnpm stress -- --json` hands the dashes on.
      args: args[0] === '--' ? args.slice(1) : [...args],
      options: {
        operations: { type: 'string' },
        seed: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    })
  } catch (error) {
    throw new UsageError(`${(error as Error).message.split('. ')[0]}; --help lists the options`)
  }
}
