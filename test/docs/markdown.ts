/** A fenced block of code, and the line of the file on which its first line stands. */
export interface Block {
  readonly language: string
  readonly code: string
  readonly line: number
}

/** Fenced blocks of a markdown text. */
export function fencedBlocks(text: string): Block[] {
  const blocks: Block[] = []
  const lines = text.split('\n')
  let open: { readonly language: string; readonly line: number } | undefined
  for (const [index, line] of lines.entries()) {
    const fence = /^\s*```\s*(\S*)/.exec(line)
    if (fence === null) continue
    if (open === undefined) open = { language: fence[1] ?? '', line: index + 2 }
    else {
      blocks.push({ ...open, code: lines.slice(open.line - 1, index).join('\n') })
      open = undefined
    }
  }
  if (open !== undefined) throw new Error(`the block that opens on line ${open.line - 1} does not end`)
  return blocks
}

/** What stands under each heading of this level, up to the next one of this level or a higher one. */
export function sections(text: string, level: number): Map<string, string> {
  const found = new Map<string, string>()
  let title: string | undefined
  for (const line of text.split('\n')) {
    const heading = /^(#+) (.*)$/.exec(line)
    const depth = heading?.[1]?.length ?? Number.POSITIVE_INFINITY
    if (depth <= level) {
      title = depth === level ? heading?.[2] : undefined
      if (title !== undefined && found.has(title)) throw new Error(`${title} is there twice`)
      if (title !== undefined) found.set(title, '')
    } else if (title !== undefined) found.set(title, `${found.get(title)}${line}\n`)
  }
  return found
}

/**
 * The anchors of a page, as GitHub makes them of its headings: lower case, a hyphen for each space, without what is no
 * letter, digit, hyphen or underscore, and numbered from the second of a name on.
 */
export function anchors(text: string): Set<string> {
  const inCode = new Set(
    fencedBlocks(text).flatMap(({ line, code }) => code.split('\n').map((_, index) => line + index)),
  )
  const found = new Set<string>()
  for (const [index, line] of text.split('\n').entries()) {
    const heading = /^#{1,6} +(.*?) *#*$/.exec(line)?.[1]
    if (heading === undefined || inCode.has(index + 1)) continue
    const shown = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase()
    const name = shown.replace(/[^\p{L}\p{M}\p{N}_\- ]/gu, '').replaceAll(' ', '-')
    let anchor = name
    for (let more = 1; found.has(anchor); more += 1) anchor = `${name}-${more}`
    found.add(anchor)
  }
  return found
}

/** A link of a page, without its title. */
export interface Link {
  /** The address up to its `#`; empty when it leads to the page itself. */
  readonly target: string
  /** What follows its `#`. */
  readonly anchor: string | undefined
}

/** The links of a markdown text, but for those in blocks of code. */
export function links(text: string): Link[] {
  const withoutCode = text.replace(/^\s*```[\s\S]*?^\s*```/gm, '')
  return [...withoutCode.matchAll(/\]\(([^)#\s]*)(?:#([^)\s]*))?\)/g)].map(([, target = '', anchor]) => ({
    target,
    anchor,
  }))
}
