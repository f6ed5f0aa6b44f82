import { replaceInParts } from '../base/replace-in-parts.js'

/** What PostgreSQL takes for blanks; other spaces of Unicode are letters to it. */
const blank = /[ \t\n\r\f\v]*/y
const blankOrOpening = /[ \t\n\r\f\v(;]*/y
const lineEnd = /[\n\r]/g
const capitals = /[A-Z]+/g

/** The place of the first word of a text, behind blanks, comments (which nest), parentheses and empty statements. */
export function startOfWords(text: string, from = 0): number {
  return skip(text, from, blankOrOpening)
}

/** Whether there is nothing but blanks and comments from here on. */
export function isBlankFrom(text: string, from: number): boolean {
  return skip(text, from, blank) >= text.length
}

/** The first words of a statement in lower case, from `startOfWords` on. */
export function leadingWords(text: string): string {
  const at = startOfWords(text)
  return asciiLower(text.slice(at, at + 60))
}

/** In small letters, as the server does it to names: a sign such as U+212A is a letter of its own to it, and no k. */
export function asciiLower(text: string): string {
  return replaceInParts(text, capitals, (found) => found.toLowerCase())
}

function skip(text: string, from: number, blanks: RegExp): number {
  let at = from
  for (;;) {
    blanks.lastIndex = at
    blanks.exec(text)
    at = blanks.lastIndex
    if (text.startsWith('--', at)) {
      lineEnd.lastIndex = at
      at = lineEnd.exec(text) === null ? text.length : lineEnd.lastIndex
    } else if (text.startsWith('/*', at)) at = endOfComment(text, at)
    else return at
  }
}

function endOfComment(text: string, from: number): number {
  const mark = /\/\*|\*\//g
  mark.lastIndex = from
  let depth = 0
  for (let found = mark.exec(text); found !== null; found = mark.exec(text)) {
    depth += found[0] === '/*' ? 1 : -1
    if (depth === 0) return mark.lastIndex
  }
  return text.length
}
