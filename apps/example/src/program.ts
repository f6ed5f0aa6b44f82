import { databasePlace } from './database-place.js'
import { reachServer } from './database-server.js'
import { demosOnReplicas } from './demo-names.js'
import { type CommandLine, help, parseOptions } from './demo-options.js'
import { Servers } from './demos/servers.js'
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
  const { names, port } = options
  const print = (text: string): void => {
    progress.clear()
    process.stdout.write(text)
  }
  progress.show('starting PostgreSQL')
  // Here, so that a database that cannot be used is said before all the ORMs are loaded.
  const place = names.includes('oversell') ? databasePlace(env['DATABASE_URL'], port) : undefined
  const own = place?.kind === 'DATABASE_URL' ? await reachServer(place.kind, place.url, signal) : undefined
  const replicas = names.some((name) => demosOnReplicas.includes(name)) ? 1 : 0
  await using servers = new Servers({ replicas, port, signal })
  // So is a port that is taken.
  if (port !== undefined) await servers.cluster()
  const isAllOnOwn = own !== undefined && names.length === 1
  // The servers take as long to start as the ORMs to load.
  const [{ runDemos }] = await Promise.all([import('./demos/run-demos.js'), isAllOnOwn ? undefined : servers.cluster()])
  return await runDemos(options, own, servers, { colours: hasColours(env), progress, print, signal })
}

function hasColours(env: NodeJS.ProcessEnv): boolean {
  return process.stdout.isTTY === true && (env['NO_COLOR'] ?? '') === ''
}

function complain(...lines: readonly string[]): void {
  for (const line of lines) process.stderr.write(`lifeguard demo: ${line}\n`)
}
