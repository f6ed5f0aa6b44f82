import { parseArgs } from 'node:util'
import { runProgram, UsageError, wholeNumber } from '../support/usage.js'
import { runChaos } from './chaos.js'
import { summarise, text } from './report.js'

const help = `pnpm chaos [options]

Ten workers move money between twenty accounts while sessions are killed and connections cut at random. At the end the
sum must be what it was, no transfer may have been made twice, and what each worker was told must be true.

  --seconds N   how long, 1 to 86400 (default 60)
  --seed S      a whole number: the same one gives the same transfers and the same faults (default: by chance, printed)
  --json        the result as JSON on standard output
  --help        this text
`

await runProgram(async (args) => {
  const { values } = parse(args)
  if (values.help === true) {
    process.stdout.write(help)
    return
  }
  const chance = String(Math.floor(Math.random() * 2 ** 31))
  const seed = wholeNumber('--seed', values.seed ?? chance, 0, 2 ** 32 - 1)
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

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      // `pnpm chaos -- --json` hands the dashes on.
      args: args[0] === '--' ? args.slice(1) : [...args],
      options: {
        seconds: { type: 'string' },
        seed: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    })
  } catch (error) {
    throw new UsageError(`${(error as Error).message.split('. ')[0]}; --help lists the options`)
  }
}
