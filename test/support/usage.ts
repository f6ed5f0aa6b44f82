/** What the user asked for cannot be done; the message is one line. */
export class UsageError extends Error {}

/** @throws UsageError */
export function wholeNumber(option: string, value: string, least: number, most: number): number {
  const number = Number(value)
  if (!/^\d+$/.test(value) || number < least || number > most) {
    throw new UsageError(`${option} ${value}: a whole number from ${least} to ${most} is needed`)
  }
  return number
}

/** Runs a program: a wrong use is one line on standard error and the exit code 2. */
export async function runProgram(main: (args: readonly string[]) => Promise<void>): Promise<void> {
  try {
    await main(process.argv.slice(2))
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    process.stderr.write(`${error.message}\n`)
    process.exitCode = 2
  }
}
