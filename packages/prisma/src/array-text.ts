/**
 * Reads an array in the form in which the server sends it, `{1,NULL,"a b"}`, with arrays in it when it has more than one
 * dimension. https://www.postgresql.org/docs/18/arrays.html#ARRAYS-IO
 */
export function readArray<T>(text: string, readElement: (element: string) => T): unknown[] {
  // Bounds that do not begin at 1 stand in front: [0:1]={1,2}
  let at = text.indexOf('{')
  if (at === -1) throw new Error(`bug: an array without braces: ${text}`)
  const readLevel = (): unknown[] => {
    const values: unknown[] = []
    at += 1
    for (;;) {
      const char = text[at]
      if (char === '}') {
        at += 1
        return values
      }
      if (char === ',') at += 1
      else if (char === '{') values.push(readLevel())
      else if (char === '"') values.push(readElement(readQuoted()))
      else if (char === undefined) throw new Error(`bug: an array without an end: ${text}`)
      else {
        const bare = readBare()
        values.push(bare.toUpperCase() === 'NULL' ? null : readElement(bare))
      }
    }
  }
  const readBare = (): string => {
    const start = at
    while (at < text.length && text[at] !== ',' && text[at] !== '}') at += 1
    return text.slice(start, at)
  }
  const readQuoted = (): string => {
    let value = ''
    for (at += 1; at < text.length && text[at] !== '"'; at += 1) {
      if (text[at] === '\\') at += 1
      value += text[at]
    }
    at += 1
    return value
  }
  return readLevel()
}
