import { libpqParameters, urlNameOf } from '../../packages/core/src/options/connection-string.js'
import { optionTable } from '../../packages/core/src/options/option-schema.js'
import { read } from '../support/workspace.js'
import { type OptionDoc, optionDocs, schema } from './option-docs.js'

/** The page, from the root of the repository. */
export const page = 'docs/options.md'

/** How often an option is needed. What stands in neither list is `frequent`. */
const essential = ['connectionString', 'max', 'min', 'acquireTimeoutMs', 'statementTimeoutMs', 'name', 'ssl']
const rare = [
  ...['types', 'keepAlive', 'keepAliveInitialDelayMs', 'sslNegotiation', 'channelBinding', 'loadBalanceHosts'],
  ...['maxUses', 'validateAfterIdleMs', 'onConnect', 'onLeak', 'environment', 'retryBudget', 'locks', 'budget'],
]

/** The page as the schema has it now. @throws Error for an option that is not documented */
export function optionsPage(): string {
  const options = optionDocs().filter(({ path }) => !path.startsWith('environment.'))
  const part = (title: string, said: string, level: string): string =>
    `## ${title}\n\n${said}\n\n${options
      .filter((one) => levelOf(one.path) === level)
      .map(section)
      .join('\n\n')}`
  return `${[
    '# Options of a pool',
    '<!-- Written by `npx -y pnpm@12 docs:options` from packages/core/src/options/option-schema.ts. -->',
    [
      "Durations are numbers of milliseconds, or texts with a unit: `'500ms'`, `'15s'`, `'15m'`, `'1h'`. What is not allowed throws `InvalidArgumentError` at once, with the name, the value and what is allowed.",
      'Fields and the connection string stand side by side: what both say must be the same. What neither says comes from the environment, where the option has a variable, and else is the default. [connecting.md](connecting.md) explains URLs, hosts, TLS and the environment.',
    ].join(' '),
    part('Essential', 'What every service should have thought about.', 'essential'),
    part('Frequent', 'What many services set.', 'frequent'),
    part('Rare', 'What few need.', 'rare'),
    libpqSection(),
  ].join('\n\n')}\n`
}

/** The README of the core, with its table of options as the source has it now. */
export function coreReadme(text: string): string {
  const { begin, end } = tableMarks
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`there is no '${begin} ... ${end}'`)
  return `${text.slice(0, from)}${begin}\n\n${optionsTable()}\n\n${text.slice(to)}`
}

const tableMarks = { begin: '<!-- options: written by `npx -y pnpm@12 docs:options` -->', end: '<!-- /options -->' }

/** Every option once, with its default and the first sentence about it. */
function optionsTable(): string {
  const options = optionDocs()
  const rows = options
    .filter(({ path }) => !path.includes('.'))
    .map(({ path, standard, text }) => [
      `\`${path}\``,
      (defaultText(path, standard) ?? standard)?.replace(/^undefined \((.*)\)$/, '$1') ?? 'none',
      /^.{11,}?[.;](?=\s|$)/s.exec(text)?.[0] ?? text,
    ])
    .map((row) => row.map((cell) => cell.replace(/[.;]$/, '').replaceAll('|', '\\|').replace(/\s+/g, ' ')))
  const table = [['option', 'default', ''], ...rows]
  const widths = [0, 1, 2].map((column) => Math.max(...table.map((row) => row[column]?.length ?? 0)))
  const line = (cells: readonly string[], filler: string): string =>
    `| ${widths.map((width, column) => (cells[column] ?? '').padEnd(width, filler)).join(' | ')} |`
  return [line(table[0] ?? [], ' '), line([], '-'), ...table.slice(1).map((row) => line(row, ' '))].join('\n')
}

/** The source of the schema, with `@default` as the defaults are now, where they are values. */
export function schemaWithDefaults(): string {
  let source = read(schema)
  for (const { path, standard, comment } of optionDocs(source).reverse()) {
    const value = defaultText(path, standard)
    if (value === undefined || value === standard) continue
    const { start, end } = comment
    source = source.slice(0, start) + withDefaultTag(source.slice(start, end), value) + source.slice(end)
  }
  return source
}

function withDefaultTag(comment: string, value: string): string {
  if (comment.includes('@default')) return comment.replace(/@default[\s\S]*?(?=\s*\*\/$)/, () => `@default ${value}`)
  const end = comment.includes('\n') ? `\n   *\n   * @default ${value}\n   */` : ` @default ${value} */`
  return comment.replace(/\s*\*\/$/, () => end)
}

/**
 * The default of an option, where it is a value; what the documentation adds to it in brackets is kept.
 *
 * @param standard what `@default` says now
 */
function defaultText(path: string, standard: string | undefined): string | undefined {
  const value = shown(optionTable[path]?.default)
  if (value === undefined) return undefined
  const variable = Object.values(libpqParameters).find(({ option }) => option === path)?.env
  const text = variable === undefined ? value : `${variable} or ${value}`
  return standard?.startsWith(`${text} (`) === true ? standard : text
}

function shown(value: unknown): string | undefined {
  if (typeof value === 'string') return `'${value}'`
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (Array.isArray(value)) return value.length === 1 ? shown(value[0]) : `[${value.map(shown).join(', ')}]`
  if (typeof value !== 'object' || value === null) return undefined
  const fields = Object.entries(value).flatMap(([name, one]) =>
    shown(one) === undefined ? [] : `${name}: ${shown(one)}`,
  )
  return fields.length === 0 ? undefined : `{ ${fields.join(', ')} }`
}

function levelOf(path: string): string {
  const [first = ''] = path.split('.')
  return essential.includes(first) ? 'essential' : rare.includes(first) ? 'rare' : 'frequent'
}

function section({ path, type, text, standard }: OptionDoc): string {
  const named = Object.entries(libpqParameters).filter(([, { option }]) => option === path)
  const inUrl = [...named.map(([name]) => name), urlNameOf(path)].filter((name) => name !== undefined)
  const variables = named.flatMap(([, { env }]) => env ?? [])
  const code = (names: readonly string[]): string => names.map((name) => `\`${name}\``).join(', ')
  const facts = [
    `- Type: \`${type}\``,
    `- Default: ${defaultText(path, standard) ?? standard ?? 'none'}`,
    `- Allowed: ${optionTable[path]?.allowed}`,
    ...(inUrl.length > 0 ? [`- In a connection string: ${code(inUrl)}`] : []),
    ...(variables.length > 0 ? [`- In the environment: ${code(variables)}`] : []),
  ]
  return [`### \`${path}\``, ...(text === '' ? [] : [text]), facts.join('\n')].join('\n\n')
}

function libpqSection(): string {
  const rows = Object.entries(libpqParameters)
    .filter(([, { option }]) => option === undefined)
    .map(
      ([name, { kind, env }]) =>
        `- \`${name}\`${env === undefined ? '' : ` (environment: \`${env}\`)`}: ${kind?.allowed}`,
    )
  const said =
    "libpq's parameters that are no options of their own; its manual says what they mean: [parameter key words](https://www.postgresql.org/docs/18/libpq-connect.html#LIBPQ-PARAMKEYWORDS). Any other parameter throws."
  return `## In connection strings alone\n\n${said}\n\n${rows.join('\n')}`
}
