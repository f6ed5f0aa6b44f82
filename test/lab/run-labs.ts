import { type StdioOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { buildAll, type Lab } from './labs.js'

/** How a program of the lab ended. */
export interface LabResult {
  readonly name: string
  readonly seconds: number
  /** `undefined` when it ended with 0, or else how it ended. */
  readonly failed: string | undefined
}

/** Runs one program with these arguments; what it says goes where this process says it. */
export async function runLab({ name, program, env, needsAll }: Lab, args: readonly string[]): Promise<LabResult> {
  const start = performance.now()
  const seconds = (): number => (performance.now() - start) / 1_000
  if (needsAll === true) {
    // Standard output is for the result alone.
    const failed = await run(buildAll, ['ignore', 2, 2], { TURBO_TELEMETRY_DISABLED: '1' })
    if (failed !== undefined) return { name, seconds: seconds(), failed: `the build: ${failed}` }
  }
  const failed = await run([...program, ...args], 'inherit', env)
  return { name, seconds: seconds(), failed }
}

/** Says how it ended, if not with 0. */
async function run(
  args: readonly string[],
  stdio: StdioOptions,
  env?: Readonly<Record<string, string>>,
): Promise<string | undefined> {
  const child = spawn(process.execPath, args, { stdio, env: { ...process.env, ...env } })
  // Ctrl-C reaches both; this process ends after its child, which stops its servers first.
  const wait = (): void => undefined
  const pass = (signal: NodeJS.Signals): void => void child.kill(signal)
  process.on('SIGINT', wait)
  process.on('SIGTERM', pass)
  try {
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
    return code === 0 ? undefined : (signal ?? `exit code ${code}`)
  } finally {
    process.off('SIGINT', wait)
    process.off('SIGTERM', pass)
  }
}

/** Runs them in turn; one that fails is no reason to leave out the others, a signal is. */
export async function runLabs(labs: readonly Lab[], onEnd: (result: LabResult) => void): Promise<LabResult[]> {
  const results: LabResult[] = []
  for (const lab of labs) {
    const result = await runLab(lab, [])
    results.push(result)
    onEnd(result)
    if (result.failed?.startsWith('SIG')) break
  }
  return results
}

/** One line for each. */
export function summary(results: readonly LabResult[]): string {
  const width = Math.max(...results.map(({ name }) => name.length))
  return results
    .map(({ name, seconds, failed }) => `${name.padEnd(width)}  ${seconds.toFixed(0)} s  ${failed ?? 'ok'}\n`)
    .join('')
}
