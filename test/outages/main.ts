import { runProgram, UsageError } from '../support/usage.js'
import { runScenario } from './run-scenario.js'
import { scenarios } from './scenarios.js'
import { subjects } from './subjects.js'
import { broken, type ScenarioResult, table } from './table.js'

const help = `npx -y pnpm@12 lab outages [scenario ...] [options]

What callers of a pool see while something goes wrong, Lifeguard and a bare pg.Pool side by side, each on a PostgreSQL of
its own. Ends with 1 when a promise of Lifeguard's did not hold.

${scenarios.map(({ name, title }) => `  ${name.padEnd(10)} ${title}`).join('\n')}

  --only NAME   one pool only: ${subjects.map(({ name }) => name).join(' or ')}
  --json        the result as JSON on standard output
  --help        this text
`
const promised = 'lifeguard'

const options = { only: { type: 'string' }, json: { type: 'boolean' } } as const

await runProgram({ help, options, allowPositionals: true }, async ({ values, positionals }) => {
  const unknown = positionals.find((name) => !scenarios.some((one) => one.name === name))
  if (unknown !== undefined) throw new UsageError(`${unknown}: no such scenario; --help lists them`)
  const chosen = positionals.length === 0 ? scenarios : scenarios.filter(({ name }) => positionals.includes(name))
  const tested = values.only === undefined ? subjects : subjects.filter(({ name }) => name === values.only)
  if (tested.length === 0)
    throw new UsageError(`--only ${values.only}: one of ${subjects.map(({ name }) => name).join(', ')}`)
  const results: ScenarioResult[] = []
  for (const scenario of chosen) {
    const outcomes: Record<string, Awaited<ReturnType<typeof runScenario>>> = {}
    for (const subject of tested) {
      if (process.stderr.isTTY) process.stderr.write(`\r${scenario.name}: ${subject.name}\u001b[K`)
      outcomes[subject.name] = await runScenario(scenario, subject, { scale: 1 })
    }
    if (process.stderr.isTTY) process.stderr.write('\r\u001b[K')
    const result = { scenario, outcomes }
    results.push(result)
    if (values.json !== true) process.stdout.write(`${table(result, promised)}\n`)
  }
  if (values.json === true) {
    const all = results.map(({ scenario, outcomes }) => ({ scenario: scenario.name, title: scenario.title, outcomes }))
    process.stdout.write(`${JSON.stringify(all, undefined, 2)}\n`)
  }
  const wrong = results.flatMap((result) => broken(result, promised))
  for (const line of wrong) process.stderr.write(`${line}\n`)
  if (wrong.length > 0) process.exitCode = 1
})
