import type { Row } from './harness.js'
import type { LineUp } from './line-up.js'
import type { Machine } from './machine.js'

const barHeight = 11
const barGap = 2
const groupGap = 18
const left = 230
const barsWidth = 520
const right = 110
const legendHeight = 18

/** A colour for each peer of a line-up, distinct also without red and green; ours first. */
const palette = ['#0b6e4f', '#c9a227', '#8a6d1b', '#6b5b95', '#9aa5b1', '#444c56', '#2f4b7c']

/**
 * The rows as a picture (SVG): in each case the best peer has the longest bar, and the others are as long as they are
 * good against it. So cases of different units stand in one picture.
 */
export function chart(rows: readonly Row[], machine: Machine, rounds: number): string {
  const lineUps = [...new Map(rows.map(({ lineUp }) => [lineUp.name, lineUp])).values()]
  const legend = lineUps.flatMap((lineUp, line) => legendOf(lineUp, 52 + line * legendHeight))
  const parts: string[] = []
  let y = 52 + lineUps.length * legendHeight + groupGap - 14
  for (const row of rows) {
    const { peers, subject } = row.lineUp
    const shown = peers.filter(({ name }) => row.results[name] !== undefined)
    const height = shown.length * (barHeight + barGap)
    parts.push(text(left - 12, y + height / 2 + 1, row.case, 'end', '#24292f', 13))
    parts.push(text(left - 12, y + height / 2 + 15, row.unit, 'end', '#6e7781', 11))
    const scores = new Map(shown.map(({ name }) => [name, scoreOf(row, name)]))
    const colours = coloursOf(row.lineUp)
    const best = Math.max(...scores.values())
    for (const { name } of shown) {
      const width = Math.max(1, (barsWidth * (scores.get(name) ?? 0)) / best)
      parts.push(
        `<rect x="${left}" y="${y}" width="${width.toFixed(1)}" height="${barHeight}" rx="1.5" fill="${colours.get(name)}"/>`,
      )
      const label = shortly(row.results[name] ?? Number.NaN)
      parts.push(
        text(left + width + 6, y + barHeight - 1.5, label, 'start', name === subject ? '#0b6e4f' : '#57606a', 10),
      )
      y += barHeight + barGap
    }
    y += groupGap
  }
  const width = left + barsWidth + right
  const about = `${machine.cores} cores of ${machine.cpu}, Node ${machine.node}, PostgreSQL ${machine.postgresql}; medians of ${rounds} rounds; a longer bar is better, whatever the unit`
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y}" width="${width}" height="${y}" font-family="system-ui, sans-serif">`,
    '<title>Lifeguard beside its peers: the bars of every case</title>',
    `<rect width="${width}" height="${y}" fill="#ffffff"/>`,
    text(16, 24, 'Lifeguard beside its peers', 'start', '#24292f', 17),
    text(16, 42, about, 'start', '#57606a', 11),
    ...legend,
    ...parts,
    '</svg>',
    '',
  ].join('\n')
}

/** How good a result is against the subject's, which is 1: the medians of the rounds' own ratios, as in the table. */
function scoreOf(row: Row, peer: string): number {
  const ratio = row.ratios[peer]
  return ratio === undefined ? 1 : 1 / ratio
}

function legendOf(lineUp: LineUp, y: number): string[] {
  let x = 16
  return [...coloursOf(lineUp)].flatMap(([name, colour]) => {
    const entry = [
      `<rect x="${x}" y="${y}" width="11" height="11" rx="1.5" fill="${colour}"/>`,
      text(x + 16, y + 9.5, name, 'start', '#24292f', 12),
    ]
    x += 34 + name.length * 7
    return entry
  })
}

function coloursOf({ peers }: LineUp): Map<string, string> {
  return new Map(peers.map(({ name }, index) => [name, palette[index % palette.length] ?? '#000000']))
}

/** Three digits are enough beside a bar. */
function shortly(value: number): string {
  return value.toLocaleString('en', { maximumSignificantDigits: 3, notation: value >= 10_000 ? 'compact' : 'standard' })
}

function text(x: number, y: number, said: string, anchor: 'start' | 'end', fill: string, size: number): string {
  const safe = said.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" fill="${fill}" font-size="${size}">${safe}</text>`
}
