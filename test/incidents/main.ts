import type { ScenarioResult } from '../outages/table.js'
import { broken, table } from '../outages/table.js'
import { runProgram, UsageError } from '../support/usage.js'
import { incidents } from './incidents.js'

const help = `npx -y pnpm@12 lab incidents [incident ...] [options]

What goes wrong in production, each on a PostgreSQL of its own: what callers saw, what events, stats() and health() said,
and how soon it was over. Ends with 1 when a claim does not hold.

${incidents.map(({ name, title }) => `  ${name.padEnd(16)} ${title}`).join('\n')}

  --long   40 s in place of 20 s for primary-down
  --json   the result as JSON on standard output
  --help   this text
`
const subject = 'lifeguard'
const options = { long: { type: 'boolean' }, json: { type: 'boolean' } } as const

await runProgram({ help, options, allowPositionals: true }, async ({ values, positionals }) => {
  const unknown = positionals.find((name) => !incidents.some((one) => one.name === name))
  if (unknown !== undefined) throw new UsageError(`${unknown}: no such incident; --help lists them`)
  const chosen = positionals.length === 0 ? incidents : incidents.filter(({ name }) => positionals.includes(name))
  const results: ScenarioResult[] = []
  for (const incident of chosen) {
    if (process.stderr.isTTY) process.stderr.write(`\r${incident.name}\u001b[K`)
    const report = await incident.run({ scale: 1, long: values.long === true })
    if (process.stderr.isTTY) process.stderr.write('\r\u001b[K')
    const result: ScenarioResult = { scenario: incident, outcomes: { [subject]: { kind: 'report', report } } }
    results.push(result)
    if (values.json !== true) process.stdout.write(`${table(result, subject)}\n`)
  }
  if (values.json === true) {
    const all = results.map(({ scenario: { name, title }, outcomes }) => ({ incident: name, title, outcomes }))
    process.stdout.write(`${JSON.stringify(all, undefined, 2)}\n`)
  }
  const wrong = results.flatMap((result) => broken(result, subject))
  for (const line of wrong) process.stderr.write(`${line}\n`)
  if (wrong.length > 0) process.exitCode = 1
})
