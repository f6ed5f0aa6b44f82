import { mostConnections } from './operation.js'
import { lateMs, type Report } from './stress.js'

/** The report as lines of text, one subject each. */
export function text(report: Report): string {
  const ms = (value: number): string => `${value.toFixed(1)} ms`
  const lines: readonly (readonly [string, string])[] = [
    ['operations', show(report.kinds)],
    ['outcomes', show(report.outcomes)],
    [
      'sessions on the server',
      `${report.mostSessions} at most, of ${mostConnections} allowed; looked ${report.looks} times`,
    ],
    [
      'answers after the deadline',
      `${ms(report.mostLateMs)} at most over ${report.deadlines} deadlines; ` +
        `${ms(report.mostLateNetMs)} without the delay of the event loop (${lateMs} allowed)`,
    ],
    ['event loop', `${ms(report.mostLoopDelayMs)} delay at most`],
    ['violations', report.violations.length === 0 ? 'none' : String(report.violations.length)],
  ]
  const width = Math.max(...lines.map(([subject]) => subject.length))
  return [
    `seed ${report.seed}, ${report.operations} operations in ${report.seconds.toFixed(1)} s`,
    ...lines.map(([subject, said]) => `${subject.padEnd(width)}  ${said}`),
    ...report.violations.slice(0, 20),
    '',
  ].join('\n')
}

function show(counted: Readonly<Record<string, number>>): string {
  return Object.entries(counted)
    .sort(([, a], [, b]) => b - a)
    .map(([what, n]) => `${n} ${what}`)
    .join(', ')
}
