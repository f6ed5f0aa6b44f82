import { UsageError } from '../support/usage.js'
import { labs } from './labs.js'
import { runLab, runLabs, summary } from './run-labs.js'

const help = `npx -y pnpm@12 lab NAME [options]

What the tests do as a smoke, in full. \`npx -y pnpm@12 lab NAME --help\` lists the options of one.

${labs.map(({ name, title }) => `  ${name.padEnd(14)}${title}`).join('\n')}
  ${'all'.padEnd(14)}each of them in turn, as every night; ends with 1 when one has failed
`

const args = process.argv.slice(2)
// `pnpm lab -- proof` hands the dashes on.
const [name, ...rest] = args[0] === '--' ? args.slice(1) : args

try {
  if (name === undefined || name === '--help') process.stdout.write(help)
  else if (name === 'all') {
    if (rest.length > 0) throw new UsageError('lab all takes no options; lab NAME does')
    const results = await runLabs(labs, ({ name: ended, failed }) =>
      process.stderr.write(`${ended}: ${failed ?? 'ok'}\n\n`),
    )
    process.stderr.write(summary(results))
    if (results.length < labs.length || results.some(({ failed }) => failed !== undefined)) process.exitCode = 1
  } else {
    const lab = labs.find((one) => one.name === name)
    if (lab === undefined) throw new UsageError(`${name}: no such program of the lab; --help lists them`)
    const { failed } = await runLab(lab, rest)
    const code = /^exit code (\d+)$/.exec(failed ?? 'exit code 0')?.[1]
    process.exitCode = Number(code ?? 1)
  }
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 2
}
