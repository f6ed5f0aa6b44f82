/** Frames of this package and of Node that are looked through for those of the program. */
const mostFrames = 100
/** Frames that are shown. */
const shownFrames = 10

/**
 * The folders with the code of this package, from a stack of a module of it: frames name the built form or, with source
 * maps, the source. None where a bundler has put the module into a file of the program, as nothing tells its frames from
 * those of the program there. A stack, as `import.meta` is not there where such a bundler, or jest, makes CommonJS of it.
 */
export function ownFolders(stack: unknown): readonly string[] {
  const [, frame = ''] = String(stack).split('\n')
  const path = ownFile.exec(frame)?.[1]
  if (path === undefined) return []
  // A frame has a URL, or a path that is not encoded.
  return [...new Set([path, decodeURI(path)])].flatMap((folder) => [`${folder}src/`, `${folder}dist/`])
}

const ownFile = /(\/(?!\/)[^:]*\/(?:@pg-lifeguard|packages)\/core\/)(?:src\/base\/callers-stack\.ts|dist\/index\.js):\d/

/**
 * The stack of the code that called into this package, without the frames of the package itself and of Node: they would use
 * up what V8 keeps of a stack. Undefined where nothing else is on it. Costs tens of microseconds: not for every call.
 *
 * @param above what is left out, with all that it has called
 */
export function callersStack(above: (...args: never[]) => unknown): string | undefined {
  const limit = Error.stackTraceLimit
  const trace: { stack?: string } = {}
  Error.stackTraceLimit = mostFrames
  Error.captureStackTrace(trace, above)
  Error.stackTraceLimit = limit
  const frames = trace.stack?.split('\n').slice(1) ?? []
  const others = frames.filter((frame) => !passedOver.some((part) => frame.includes(part)))
  // Of the program itself, before what it uses.
  const programs = others.filter((frame) => !frame.includes('node_modules'))
  const shown = programs.length > 0 ? programs : others
  return shown.length === 0 ? undefined : shown.slice(0, shownFrames).join('\n')
}

const passedOver: readonly string[] = [
  ...ownFolders(new Error('where this package is').stack),
  '/@pg-lifeguard/',
  'node:',
  '<anonymous>)',
]
