import { demo } from './demo.js'
import { type DemoOptions, help, parseOptions } from './demo-options.js'
import { errorLine, errorsIn } from './error-lines.js'
import { Interruption } from './interruption.js'
import { Progress } from './progress.js'
import { problemLines } from './report.js'
import { screen } from './screen.js'
import { TablesLeftError } from './tables-left-error.js'

/** The demo from command line to exit code; whatever goes wrong is said in one line on stderr. */
export async function program(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  let options: DemoOptions | 'help'
  try {
    options = parseOptions(args)
  } catch (error) {
    complain(`${errorLine(error)} (--help lists the options)`)
    return 2
  }
  if (options === 'help') {
    process.stdout.write(help)
    return 0
  }
  return await run(options, env)
}

async function run(options: DemoOptions, env: NodeJS.ProcessEnv): Promise<number> {
  using interruption = new Interruption()
  const progress = new Progress(process.stderr)
  const { signal } = interruption
  signal.addEventListener('abort', () => {
    progress.end()
    complain('interrupted, tidying up')
  })
  try {
    const report = await demo(options, env['DATABASE_URL'], progress, signal)
    progress.end()
    process.stdout.write(options.json ? `${JSON.stringify(report, null, 2)}\n` : screen(report, hasColours(env)))
    complain(...problemLines(report))
    return report.ok ? 0 : 1
  } catch (error) {
    progress.end()
    // What the interruption itself broke is no news; what it could not tidy up is.
    const news = errorsIn(error).filter((each) => !signal.aborted || each instanceof TablesLeftError)
    complain(...news.map(errorLine))
    return 1
  } finally {
    interruption.endProcess()
  }
}

function hasColours(env: NodeJS.ProcessEnv): boolean {
  return process.stdout.isTTY === true && (env['NO_COLOR'] ?? '') === ''
}

function complain(...lines: readonly string[]): void {
  for (const line of lines) process.stderr.write(`lifeguard demo: ${line}\n`)
}
