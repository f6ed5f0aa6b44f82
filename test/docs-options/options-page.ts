import { libpqParameters, urlNameOf } from '../../packages/core/src/options/connection-string.js'
import { optionTable } from '../../packages/core/src/options/option-schema.js'
import { type FieldDocs, OptionDocs } from './option-docs.js'

/** The page, from the root of the repository. */
export const page = 'docs/options.md'

/** How often an option is needed. What stands in neither list is `frequent`. */
const essential = ['connectionString', 'max', 'min', 'acquireTimeoutMs', 'statementTimeoutMs', 'name', 'ssl']
const rare = [
  ...['types', 'keepAlive', 'keepAliveInitialDelayMs', 'sslNegotiation', 'channelBinding', 'loadBalanceHosts'],
  ...['maxUses', 'validateAfterIdleMs', 'onConnect', 'onLeak', 'environment', 'retryBudget', 'locks', 'budget'],
]

/** What the core knows of its options beside their documentation. */
interface CoreTables {
  readonly optionTable: Readonly<Record<string, { readonly allowed: string; readonly isGroup?: boolean }>>
  readonly libpqParameters: Readonly<Record<string, LibpqParameter>>
  readonly urlNameOf: (path: string) => string | undefined
}

interface LibpqParameter {
  readonly option?: string
  readonly kind?: { readonly allowed: string }
  readonly env?: string
}

/** The page as the source has it now. @throws Error for an option that is not documented, or not in the table */
export function optionsPage(): string {
  const tables: CoreTables = { optionTable, libpqParameters, urlNameOf }
  const options = documented(OptionDocs.ofCore(), tables)
  const part = (title: string, said: string, level: string): string =>
    `## ${title}\n\n${said}\n\n${options
      .filter((one) => levelOf(one.path) === level)
      .map((one) => section(one, tables))
      .join('\n\n')}`
  return `${[
    '# Options of a pool',
    '<!-- Written by `npx -y pnpm@12 docs:options` from the documentation of the types. -->',
    [
      "Durations are numbers of milliseconds, or texts with a unit: `'500ms'`, `'15s'`, `'15m'`, `'1h'`. What is not allowed throws `InvalidArgumentError` at once, with the name, the value and what is allowed.",
      'Fields and the connection string stand side by side: what both say must be the same. What neither says comes from the environment, where the option has a variable, and else is the default. How URLs, hosts, TLS and the environment work is told in [connecting.md](connecting.md).',
    ].join(' '),
    part('Essential', 'What every service should have thought about.', 'essential'),
    part('Frequent', 'What many services set.', 'frequent'),
    part('Rare', 'What few need.', 'rare'),
    libpqSection(tables),
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
  const options = documented(OptionDocs.ofCore(), { optionTable, libpqParameters, urlNameOf })
  const rows = options
    .filter(({ path }) => !path.includes('.'))
    .map(({ path, standard, text }) => [
      `\`${path}\``,
      standard?.replace(/^undefined \((.*)\)$/, '$1') ?? 'none',
      /^.{11,}?[.;](?=\s|$)/s.exec(text)?.[0] ?? text,
    ])
    .map((row) => row.map((cell) => cell.replace(/[.;]$/, '').replaceAll('|', '\\|').replace(/\s+/g, ' ')))
  const table = [['option', 'default', ''], ...rows]
  const widths = [0, 1, 2].map((column) => Math.max(...table.map((row) => row[column]?.length ?? 0)))
  const line = (cells: readonly string[], filler: string): string =>
    `| ${widths.map((width, column) => (cells[column] ?? '').padEnd(width, filler)).join(' | ')} |`
  return [line(table[0] ?? [], ' '), line([], '-'), ...table.slice(1).map((row) => line(row, ' '))].join('\n')
}

interface Option extends FieldDocs {
  readonly path: string
}

function documented(docs: OptionDocs, { optionTable }: CoreTables): Option[] {
  const options: Option[] = []
  const add = (prefix: string, fields: readonly FieldDocs[]): void => {
    for (const field of fields) {
      const path = prefix + field.name
      const rule = optionTable[path]
      if (rule === undefined) throw new Error(`${path} is an option by its type, and not in the option table`)
      if (field.text === '' && field.standard === undefined) throw new Error(`the option ${path} is not documented`)
      options.push({ ...field, path })
      const inner = rule.isGroup === true ? docs.interfaceIn(field.type) : undefined
      if (inner !== undefined && path !== 'environment') add(`${path}.`, docs.fieldsOf(inner))
    }
  }
  add('', docs.fieldsOf('PoolOptions'))
  const seen = new Set(options.map(({ path }) => path))
  const missing = Object.keys(optionTable).filter((path) => !seen.has(path) && !path.startsWith('environment.'))
  if (missing.length > 0) throw new Error(`in the option table, and not in the types: ${missing.join(', ')}`)
  return options
}

function levelOf(path: string): string {
  const [first = ''] = path.split('.')
  return essential.includes(first) ? 'essential' : rare.includes(first) ? 'rare' : 'frequent'
}

function section({ path, type, text, standard }: Option, tables: CoreTables): string {
  const named = Object.entries(tables.libpqParameters).filter(([, { option }]) => option === path)
  const inUrl = [...named.map(([name]) => name), tables.urlNameOf(path)].filter((name) => name !== undefined)
  const variables = named.flatMap(([, { env }]) => env ?? [])
  const code = (names: readonly string[]): string => names.map((name) => `\`${name}\``).join(', ')
  const facts = [
    `- Type: \`${type.replace(' | undefined', '')}\``,
    `- Default: ${standard ?? 'none'}`,
    `- Allowed: ${tables.optionTable[path]?.allowed}`,
    ...(inUrl.length > 0 ? [`- In a connection string: ${code(inUrl)}`] : []),
    ...(variables.length > 0 ? [`- In the environment: ${code(variables)}`] : []),
  ]
  return [`### \`${path}\``, ...(text === '' ? [] : [text]), facts.join('\n')].join('\n\n')
}

function libpqSection({ libpqParameters }: CoreTables): string {
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
