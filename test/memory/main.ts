import { startCluster } from '@pg-lifeguard/testing'
import { runProgram, wholeNumber } from '../support/usage.js'
import { measure } from './measure.js'

const help = `npx -y pnpm@12 lab memory [options]

Streams rows, and copies large binary values out and in, each in a process of its own; says how much memory that ever had.

  --rows N         rows to stream (default 10000000)
  --megabytes N    to copy out, and a fifth of it in (default 5000)
  --value-bytes N  of one value (default 10000000)
  --slow           readers that pause after every piece
  --help           this text
`

const options = {
  rows: { type: 'string', default: '10000000' },
  megabytes: { type: 'string', default: '5000' },
  'value-bytes': { type: 'string', default: '10000000' },
  slow: { type: 'boolean', default: false },
} as const

await runProgram({ help, options }, async ({ values }) => {
  const rows = wholeNumber('--rows', values.rows, 1, 1_000_000_000)
  const megabytes = wholeNumber('--megabytes', values.megabytes, 1, 1_000_000)
  const valueBytes = wholeNumber('--value-bytes', values['value-bytes'], 1, 500_000_000)
  await using cluster = await startCluster({ handleSignals: true })
  await using database = await cluster.createDatabase()
  const common = { url: database.url, valueBytes, isSlow: values.slow }
  for (const order of [
    { ...common, what: 'stream', amount: rows, valueBytes: 1 },
    { ...common, what: 'copy-out', amount: megabytes },
    { ...common, what: 'copy-in', amount: Math.ceil(megabytes / 5) },
  ] as const) {
    const { amount, peakBytes, ms } = await measure(order)
    const unit = order.what === 'stream' ? 'rows' : 'MB'
    const peak = `${Math.round(peakBytes / 1_000_000)} MB at most`
    process.stdout.write(`${order.what}: ${Math.round(amount)} ${unit} in ${(ms / 1_000).toFixed(1)} s, ${peak}\n`)
  }
})
