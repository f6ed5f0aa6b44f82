import { fileURLToPath } from 'node:url'
import { runProgram, seedFrom, wholeNumber } from '../support/usage.js'
import { chaosCluster } from './chaos-cluster.js'
import { table, violations } from './report.js'

const help = `npx -y pnpm@12 lab chaos:cluster [options]

A primary with two replicas: late replicas, a slow one, a dead one, a dead primary and one that comes back. Exits with 1
when a promise was broken.

  --seed S      a whole number: the same one gives the same delays and statements (default: by chance, printed)
  --pairs N     pairs of a write and a read, 1 to 1000000 (default 10000), once in one process and once over two
  --json        the result as JSON on standard output
  --help        this text
`

const options = { seed: { type: 'string' }, pairs: { type: 'string' }, json: { type: 'boolean' } } as const

await runProgram({ help, options }, async ({ values }) => {
  const seed = seedFrom(values.seed)
  const pairs = wholeNumber('--pairs', values.pairs ?? '10000', 1, 1_000_000)
  // First of all, so that it is known whatever happens.
  process.stderr.write(`seed ${seed}\n`)
  const result = await chaosCluster({
    seed,
    pairs,
    statements: 2_000,
    promotedAfterMs: 2_000,
    slowSeconds: 5,
    readerPath: fileURLToPath(new URL('reader.js', import.meta.url)),
    progress: (what) => {
      if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${what}`)
    },
  })
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
  const found = violations(result)
  const { json } = values
  process.stdout.write(
    json === true ? `${JSON.stringify({ ...result, violations: found }, undefined, 2)}\n` : table(result),
  )
  if (found.length > 0) process.exitCode = 1
})
