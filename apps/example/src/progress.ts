import type { WriteStream } from 'node:tty'

const barWidth = 16
/** A person sees no more than this, and the terminal has better things to do. */
const redrawEveryMs = 30
const clearLine = '\r\u001b[2K'

/** One line on a terminal that says what is going on; nothing where there is no terminal. */
export class Progress {
  #stream: WriteStream | undefined
  #drawnAt = Number.NEGATIVE_INFINITY
  #chapter = ''

  constructor(stream: WriteStream) {
    this.#stream = stream.isTTY ? stream : undefined
  }

  /** What all that follows belongs to, such as `3 of 9, tenants`. */
  begin(chapter: string): void {
    this.#chapter = `${chapter}: `
  }

  show(text: string): void {
    this.#draw(`  ${this.#chapter}${text} ...`)
  }

  bar(title: string, done: number, all: number, suffix: string): void {
    if (performance.now() - this.#drawnAt < redrawEveryMs) return
    const filled = Math.round((done / all) * barWidth)
    const bar = '█'.repeat(filled) + '░'.repeat(barWidth - filled)
    this.#draw(`  ${this.#chapter}${title.padEnd(13)} ${bar} ${done} of ${all}${suffix}`)
  }

  /** Leaves the line empty for what is printed now. */
  clear(): void {
    this.#stream?.write(clearLine)
  }

  /** Leaves the line empty for what comes next, and shows nothing any more. */
  end(): void {
    this.#stream?.write(clearLine)
    this.#stream = undefined
  }

  #draw(line: string): void {
    this.#drawnAt = performance.now()
    this.#stream?.write(clearLine + line)
  }
}
