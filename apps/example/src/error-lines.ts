/** What went wrong, first things first: what failed, then what failed while tidying up after it. */
export function errorsIn(error: unknown): unknown[] {
  // `await using` reports both this way: what failed first is `suppressed`, what failed while leaving is `error`.
  if (error instanceof Error && error.name === 'SuppressedError' && 'suppressed' in error && 'error' in error) {
    return [...errorsIn(error.suppressed), ...errorsIn(error.error)]
  }
  return [error]
}

/** An error as a person wants it: one line, no stack. */
export function errorLine(error: unknown): string {
  const [first] = errorsIn(error)
  if (!(first instanceof Error)) return String(first)
  const [line] = first.message.split('\n')
  return line === undefined || line === '' ? first.name : line
}
