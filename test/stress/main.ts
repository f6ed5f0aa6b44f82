import { startCluster } from '@pg-lifeguard/testing'
import { runProgram, seedFrom, wholeNumber } from '../support/usage.js'
import { text } from './report.js'
import { runStress } from './stress.js'

const help = `npx -y pnpm@12 lab stress [options]

Random operations on one pool and a real server: acquire, release, query, abort, timeout, kill, flush, pause, resize,
transaction. The server must never see more sessions than allowed, every caller must be answered in time, and nothing may
be left over.

  --operations N  how many, 1 to 10000000 (default 100000)
  --seed S        a whole number: the same one gives the same operations (default: by chance, printed)
  --json          the result as JSON on standard output
  --help          this text
`

const options = { operations: { type: 'string' }, seed: { type: 'string' }, json: { type: 'boolean' } } as const

await runProgram({ help, options }, async ({ values }) => {
  const seed = seedFrom(values.seed)
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
