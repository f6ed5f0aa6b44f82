import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runProgram } from '../support/usage.js'
import { type Cell, moments, outcomesOf, untruths } from './cell.js'
import { faultNames } from './faults.js'
import { optionsFrom, usage } from './options.js'
import { page } from './page.js'
import { runFault } from './runner.js'
import { markdown, text, withTable } from './table.js'

await runProgram(usage, async ({ values }) => {
  const options = optionsFrom(values)
  const cells: Cell[] = []
  for (const fault of options.faults) {
    await runFault(fault, options.moments, options.trials, (cell) => {
      cells.push(cell)
      // Standard output is for the result alone.
      process.stderr.write(`${cell.fault}, ${cell.moment}, ${cell.mode}: ${cell.trials.length} trials\n`)
    })
  }
  const wrong = cells.flatMap(untruths)
  if (options.json) {
    const shown = cells.map((cell) => ({
      fault: cell.fault,
      moment: cell.moment,
      mode: cell.mode,
      outcomes: outcomesOf(cell),
      untruths: untruths(cell),
    }))
    process.stdout.write(`${JSON.stringify(shown, undefined, 2)}\n`)
  } else process.stdout.write(`${text(cells)}\n${wrong.length} untruths in ${cells.length} cells\n`)
  for (const line of wrong) process.stderr.write(`${line}\n`)
  if (wrong.length > 0) process.exitCode = 1
  else if (options.faults.length === faultNames.length && options.moments.length === moments.length) {
    const path = join(import.meta.dirname, '../../..', page)
    await writeFile(path, withTable(await readFile(path, 'utf8'), markdown(cells)))
  }
})
