import { scenarios } from './scenarios.js'
import { subjects } from './subjects.js'

/** The process of one pool in one scenario: what ends it is part of the answer. */
const [scenarioName, subjectName, scale] = process.argv.slice(2)
const scenario = scenarios.find(({ name }) => name === scenarioName)
const subject = subjects.find(({ name }) => name === subjectName)
if (scenario === undefined || subject === undefined || process.send === undefined) {
  throw new Error('bug: a worker is started by the program alone')
}
const report = await scenario.run(subject, { scale: Number(scale) })
process.send(report, () => process.disconnect())
