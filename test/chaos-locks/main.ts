import { createPool } from '@pg-lifeguard/core'
import { startCluster } from '@pg-lifeguard/testing'
import { runProgram, seedFrom, wholeNumber } from '../support/usage.js'
import { chaosLocks } from './chaos-locks.js'
import { table, violations } from './report.js'
import { setup } from './storm.js'

const help = `npx -y pnpm@12 lab chaos:locks [options]

Locks under processes that are killed, stopped, disconnected and cut off. Exits with 1 when a promise was broken.

  --seconds N   how long, 1 to 86400 (default 60)
  --seed S      a whole number: the same one gives the same faults (default: by chance, printed)
  --json        the result as JSON on standard output
  --help        this text
`
const options = { seconds: { type: 'string' }, seed: { type: 'string' }, json: { type: 'boolean' } } as const

await runProgram({ help, options }, async ({ values }) => {
  const seed = seedFrom(values.seed)
  const seconds = wholeNumber('--seconds', values.seconds ?? '60', 1, 86_400)
  process.stderr.write(`seed ${seed}, ${seconds} s\n`)
  await using cluster = await startCluster({ handleSignals: true, settings: { max_connections: '200' } })
  await using database = await cluster.createDatabase()
  {
    await using admin = createPool({ connectionString: database.url })
    await admin.query(setup)
  }
  const isTerminal = process.stderr.isTTY
  const progress = (what: string): void => {
    if (isTerminal) process.stderr.write(`\r\x1b[K${what}`)
  }
  const result = await chaosLocks({ url: database.url, seed, seconds, kills: 50, progress })
  progress('')
  process.stdout.write(
    values.json === true
      ? `${JSON.stringify({ ...result, violations: violations(result) }, undefined, 2)}\n`
      : table(result),
  )
  if (violations(result).length > 0) process.exitCode = 1
})
