/** The first words of a statement in lower case, behind white space, comments (which nest) and parentheses. */
export function leadingWords(text: string): string {
  let at = 0
  for (;;) {
    const space = /[\s(;]*/y
    space.lastIndex = at
    space.exec(text)
    at = space.lastIndex
    if (text.startsWith('--', at)) {
      const lineEnd = /[\n\r]/g
      lineEnd.lastIndex = at
      if (!lineEnd.test(text)) return ''
      at = lineEnd.lastIndex
    } else if (text.startsWith('/*', at)) at = endOfComment(text, at)
    else break
  }
  return text.slice(at, at + 60).toLowerCase()
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
