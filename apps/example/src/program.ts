import { type CommandLine, help, parseOptions } from './demo-options.js'
import { errorLine, errorsIn } from './error-lines.js'
import { Interruption } from './interruption.js'
import { Progress } from './progress.js'
import { TablesLeftError } from './tables-left-error.js'

/** The demos from command line to exit code; whatever goes wrong is said in one line on stderr. */
export async function program(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  let options: CommandLine | 'help'
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

async function run(options: CommandLine, env: NodeJS.ProcessEnv): Promise<number> {
  using interruption = new Interruption()
  const progress = new Progress(process.stderr)
  const { signal } = interruption
  signal.addEventListener('abort', () => {
    progress.end()
    complain('interrupted, tidying up')
  })
  try {
    const problems = await show(options, env, progress, signal)
    progress.end()
    complain(...problems)
    return problems.length === 0 ? 0 : 1
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

/** Gives what is wrong, each in one line. */
async function show(
  options: CommandLine,
  env: NodeJS.ProcessEnv,
  progress: Progress,
  signal: AbortSignal,
): Promise<string[]> {
  const { demo: name, json } = options
  const colours = hasColours(env)
  const print = (text: string): void => {
    progress.clear()
    process.stdout.write(text)
  }
  // Here, so that a slip of the pen in the options is answered before all the ORMs are loaded.
  const { demo } = await import('./demo.js')
  const oversell = () => demo(options, env['DATABASE_URL'], progress, signal)
  if (name !== undefined && name !== 'oversell') {
    const { runDemos } = await import('./demos/run-demos.js')
    return await runDemos(options, oversell, { colours, progress, print, signal })
  }
  const [{ screen }, { problemLines }, report] = await Promise.all([
    import('./screen.js'),
    import('./report.js'),
    oversell(),
  ])
  print(json ? `${JSON.stringify(report, null, 2)}\n` : screen(report, colours))
  return problemLines(report)
}

function hasColours(env: NodeJS.ProcessEnv): boolean {
  return process.stdout.isTTY === true && (env['NO_COLOR'] ?? '') === ''
}

function complain(...lines: readonly string[]): void {
  for (const line of lines) process.stderr.write(`lifeguard demo: ${line}\n`)
}
