import { runProgram, seedFrom, wholeNumber } from '../support/usage.js'
import { runChaos } from './chaos.js'
import { summarise, text } from './report.js'

const help = `npx -y pnpm@12 lab chaos [options]

Ten workers move money between twenty accounts while sessions are killed and connections cut at random. At the end the
sum must be what it was, no transfer may have been made twice, and what was reported to each worker must be true.

  --seconds N   how long, 1 to 86400 (default 60)
  --seed S      a whole number: the same one gives the same transfers and the same faults (default: by chance, printed)
  --json        the result as JSON on standard output
  --help        this text
`

const options = { seconds: { type: 'string' }, seed: { type: 'string' }, json: { type: 'boolean' } } as const

await runProgram({ help, options }, async ({ values }) => {
  const seed = seedFrom(values.seed)
  const seconds = wholeNumber('--seconds', values.seconds ?? '60', 1, 86_400)
  // First of all, so that it is known whatever happens.
  process.stderr.write(`seed ${seed}\n`)
  const report = await runChaos(seed, seconds, (transfers, left) => {
    if (process.stderr.isTTY) process.stderr.write(`\r${transfers} transfers, ${Math.ceil(left / 1_000)} s to go   `)
  })
  if (process.stderr.isTTY) process.stderr.write('\n')
  const summary = summarise(report)
  process.stdout.write(values.json === true ? `${JSON.stringify(summary, undefined, 2)}\n` : text(summary))
  if (summary.violations.length > 0) process.exitCode = 1
})
