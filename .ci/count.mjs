// Reads vitest's JSON report and says what is true of the run: a file that did not load, a test that was skipped, an
// error outside of any test, and a run without tests are failures too.
// usage: node count.mjs <report.json> <exit code of the tests> [name of a step that failed]...
import { readFileSync } from 'node:fs'

const [path, exitCode, ...steps] = process.argv.slice(2)
const tested = Number(exitCode)
const problems = steps.map((step) => `${step}: failed`)

let passed = 0
try {
  const report = JSON.parse(readFileSync(path, 'utf8'))
  for (const file of report.testResults) {
    if (file.status === 'failed' && !file.assertionResults.some(({ status }) => status === 'failed')) {
      problems.push(`${file.name}: ${file.message || 'failed outside of its tests'}`)
    }
    for (const { status, fullName } of file.assertionResults) {
      if (status === 'passed') passed += 1
      else problems.push(`${file.name} > ${fullName}: ${status}`)
    }
  }
  if (passed === 0 && problems.length === 0) problems.push('no test ran')
} catch (error) {
  problems.push(`the tests did not run to their end: ${error.message}`)
}
if (tested !== 0 && problems.length === steps.length) problems.push(`the test command ended with exit code ${tested}`)

for (const problem of problems) console.log(`FAILED ${problem}`)
console.log(`${passed} passed, ${problems.length} failed`)
process.exitCode = tested !== 0 ? tested : problems.length > 0 ? 1 : 0
