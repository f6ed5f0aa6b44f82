/**
 * What is being measured, on standard error, as standard output is for the result alone: a line for each case, which
 * grows with its rounds.
 */
export interface Progress {
  /** The case with this number, from 1, begins. */
  start(caseName: string, number: number): void
  /** Its peers warm up, or their round begins. */
  step(what: string): void
  /** It has ended, whether well or not. */
  end(): void
}

export function progressOn(stream: { write(text: string): unknown }, cases: number): Progress {
  return {
    start: (caseName, number) => stream.write(`[${number}/${cases}] ${caseName}:`),
    step: (what) => stream.write(` ${what}`),
    end: () => stream.write('\n'),
  }
}
