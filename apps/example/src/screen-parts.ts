import { styleText } from 'node:util'

type Style = Parameters<typeof styleText>[0]

/** Text in a colour or another style, where there are any. */
export type Paint = (style: Style, text: string) => string

export function painter(colours: boolean): Paint {
  return (style, text) => (colours ? styleText(style, text, { validateStream: false }) : text)
}

/** Figures for a person: the first column is the row's name. */
export interface FigureTable {
  readonly head: readonly string[]
  readonly rows: readonly (readonly (string | number)[])[]
}

/** Columns `left` begin at the left, as names do; the others end at the right, as figures do. */
export function tableLines({ head, rows }: FigureTable, paint: Paint, left: readonly number[] = [0]): string[] {
  const cells = [head, ...rows].map((row) =>
    row.map((cell) => (typeof cell === 'number' ? cell.toLocaleString('en') : cell)),
  )
  const widths = head.map((_, column) => Math.max(...cells.map((row) => (row[column] ?? '').length)))
  const [titles = '', ...texts] = cells.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0
        return left.includes(column) ? cell.padEnd(width) : cell.padStart(width)
      })
      .join('  '),
  )
  const rule = '─'.repeat(widths.reduce((sum, width) => sum + width + 2, -2))
  return [
    paint('dim', `  ${titles}`.trimEnd()),
    paint('dim', `  ${rule}`),
    ...texts.map((text) => `  ${text}`.trimEnd()),
  ]
}

/** In lines that fit. */
export function wrapped(text: string): string[] {
  const lines = ['']
  for (const word of text.split(' ')) {
    const last = lines.length - 1
    const line = lines[last] ?? ''
    if (line !== '' && line.length + word.length >= 77) lines.push(word)
    else lines[last] = line === '' ? word : `${line} ${word}`
  }
  return lines
}

/** What is so, and what is not: with what was seen. */
export function verdictLines(
  claims: readonly { readonly claim: string; readonly holds: boolean; readonly seen: string }[],
  paint: Paint,
): string[] {
  return claims.flatMap(({ claim, holds, seen }) =>
    holds
      ? [`  ${paint('green', '✓')} ${claim}`]
      : [
          `  ${paint(['red', 'bold'], '✗')} ${claim}`,
          ...wrapped(`seen: ${seen}`).map((line) => `    ${paint('red', line)}`),
        ],
  )
}
