import { type ParseArgsConfig, parseArgs } from 'node:util'

/** What the user asked for cannot be done; the message is one line. */
export class UsageError extends Error {}

/** What a program takes on its command line, in the terms of `parseArgs` of `node:util`; `--help` comes by itself. */
export interface Usage {
  /** What `--help` shows. */
  readonly help: string
  readonly options: NonNullable<ParseArgsConfig['options']>
  readonly allowPositionals?: boolean
}

/** What was given: `values` by the names of the options, and `positionals`, which stand beside them. */
export type Given<Of extends Usage> = ReturnType<typeof parseArgs<Pick<Of, 'options' | 'allowPositionals'>>>

/**
 * Reads a command line.
 *
 * @throws UsageError for an option that there is not, or that lacks its value
 */
export function readArguments<const Of extends Usage>(args: readonly string[], usage: Of): Given<Of> {
  const { allowPositionals = false, options } = usage
  try {
    return parseArgs({
      // `pnpm lab stress -- --json` hands the dashes on.
      args: args[0] === '--' ? args.slice(1) : [...args],
      allowPositionals,
      options: { ...options, help: { type: 'boolean' } },
    }) as Given<Of>
  } catch (error) {
    throw new UsageError(`${(error as Error).message.split('. ')[0]}; --help lists the options`)
  }
}

/** @throws UsageError */
export function wholeNumber(option: string, value: string, least: number, most: number): number {
  const number = Number(value)
  if (!/^\d+$/.test(value) || number < least || number > most) {
    throw new UsageError(`${option} ${value}: a whole number from ${least} to ${most} is needed`)
  }
  return number
}

/**
 * The seed that was asked for, or one by chance.
 *
 * @throws UsageError
 */
export function seedFrom(value: string | undefined): number {
  return wholeNumber('--seed', value ?? String(Math.floor(Math.random() * 2 ** 31)), 0, 2 ** 32 - 1)
}

/** Runs a program on its command line, or shows its help. A wrong use is one line on standard error and the exit code 2. */
export async function runProgram<const Of extends Usage>(
  usage: Of,
  main: (given: Given<Of>) => Promise<void>,
): Promise<void> {
  try {
    const given = readArguments(process.argv.slice(2), usage)
    if ((given.values as { readonly help?: boolean }).help === true) process.stdout.write(usage.help)
    else await main(given)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    process.stderr.write(`${error.message}\n`)
    process.exitCode = 2
  }
}
