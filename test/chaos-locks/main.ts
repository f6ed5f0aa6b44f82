import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { createPool } from '@pg-lifeguard/core'
import { startCluster } from '@pg-lifeguard/testing'
import { chaosLocks } from './chaos-locks.js'
import { table, violations } from './report.js'
import { setup } from './storm.js'

const help = `pnpm chaos:locks [--seed S] [--seconds N] [--json]

Locks under processes that are killed, stopped, disconnected and cut off. Exits with 1 when a promise was broken.
`

async function run(seed: number, seconds: number, asJson: boolean): Promise<void> {
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
    asJson ? `${JSON.stringify({ ...result, violations: violations(result) }, undefined, 2)}\n` : table(result),
  )
  if (violations(result).length > 0) process.exitCode = 1
}

try {
  const { values } = parseArgs({
    args: process.argv.slice(2).filter((argument) => argument !== '--'),
    options: {
      seed: { type: 'string' },
      seconds: { type: 'string' },
      json: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  })
  const seed = Number(values.seed ?? randomInt(2 ** 31))
  const seconds = Number(values.seconds ?? 60)
  if (!Number.isSafeInteger(seed)) throw new TypeError(`--seed ${values.seed} is not a whole number`)
  if (!(seconds > 0 && Number.isFinite(seconds)))
    throw new TypeError(`--seconds ${values.seconds} is not a number above 0`)
  if (values.help === true) process.stdout.write(help)
  else await run(seed, seconds, values.json === true)
} catch (error) {
  if (!(error instanceof TypeError)) throw error
  process.stderr.write(`${error.message}\n\n${help}`)
  process.exitCode = 2
}
