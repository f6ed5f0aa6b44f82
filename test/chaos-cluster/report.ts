import type { ChaosResult } from './chaos-cluster.js'

/** What was promised and not kept; empty when all is well. */
export function violations({ stages }: ChaosResult): string[] {
  return stages.flatMap(({ stage, violations }) => violations.map((what) => `${stage}: ${what}`))
}

/** For people. */
export function table(result: ChaosResult): string {
  const lines = [`seed ${result.seed}`]
  for (const { stage, figures } of result.stages) {
    lines.push('', stage)
    const width = Math.max(...Object.keys(figures).map((name) => name.length))
    for (const [name, value] of Object.entries(figures)) lines.push(`  ${name.padEnd(width)}  ${value}`)
  }
  const found = violations(result)
  lines.push('', `violations: ${found.length === 0 ? 'none' : found.length}`, ...found.map((what) => `  ${what}`), '')
  return lines.join('\n')
}
