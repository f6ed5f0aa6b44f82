/** As much of a text is looked at at a time, in UTF-16 units. */
const part = 65_536

/**
 * `text.replace(pattern, replacer)` for a pattern with the flag `g`, and one that may be cut anywhere. The engine notes every
 * match before it calls the replacer for the first, and ends the process when there are tens of millions of them: so a long
 * text is taken in parts.
 */
export function replaceInParts(text: string, pattern: RegExp, replacer: (found: string) => string): string {
  if (text.length <= part) return text.replace(pattern, replacer)
  let replaced = ''
  for (let from = 0; from < text.length; ) {
    const to = endOfPart(text, from, part)
    replaced += text.slice(from, to).replace(pattern, replacer)
    from = to
  }
  return replaced
}

/** The end of a part of up to so many units, 2 or more, that begins here: never between the halves of one character. */
export function endOfPart(text: string, from: number, units: number): number {
  const to = from + units
  if (to >= text.length) return text.length
  const last = text.charCodeAt(to - 1)
  return last >= 0xd800 && last <= 0xdbff ? to - 1 : to
}
