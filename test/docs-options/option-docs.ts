import {
  type Argument,
  type CallExpression,
  type Comment,
  type Expression,
  type ObjectExpression,
  parseSync,
  Visitor,
} from 'oxc-parser'
import { read } from '../support/workspace.js'

/** Where every option of a pool is, from the root of the repository. */
export const schema = 'packages/core/src/options/option-schema.ts'

/** An option of the schema, with what its documentation says. */
export interface OptionDoc {
  readonly path: string
  /** The TypeScript type of what may be given. */
  readonly type: string
  readonly text: string
  /** What `@default` says. */
  readonly standard: string | undefined
  /** Where its comment is in the source. */
  readonly comment: { readonly start: number; readonly end: number }
}

/** The types of what the kinds of the schema take, but for those that name it or are made of others. */
const types: Readonly<Record<string, string>> = {
  amount: 'number',
  count: 'number',
  dbName: 'string',
  duration: 'Duration',
  flag: 'boolean',
  password: 'string | (() => string | Promise<string>)',
  port: 'number | string',
  ssl: "boolean | SslMode | 'no-verify' | TlsOptions",
  text: 'string',
}

/** Every option of `poolFields`, in the order of the schema. @throws Error for one that is not documented */
export function optionDocs(source = read(schema)): OptionDoc[] {
  const { program, comments, errors } = parseSync(schema, source)
  if (errors[0] !== undefined) throw new Error(`${schema} does not parse: ${errors[0].message}`)
  const docs = comments.filter(({ type, value }) => type === 'Block' && value.startsWith('*'))
  const objects = new Map<string, ObjectExpression>()
  new Visitor({
    VariableDeclarator({ id, init }) {
      let value = init
      while (value?.type === 'TSSatisfiesExpression' || value?.type === 'TSAsExpression') value = value.expression
      if (id.type === 'Identifier' && value?.type === 'ObjectExpression') objects.set(id.name, value)
    },
  }).visit(program)
  const all = (prefix: string, name: string): OptionDoc[] =>
    (objects.get(name)?.properties ?? []).flatMap((property): OptionDoc[] => {
      if (property.type === 'SpreadElement') {
        return property.argument.type === 'Identifier' ? all(prefix, property.argument.name) : []
      }
      const { key, value, start } = property
      if (key.type !== 'Identifier' || value.type !== 'CallExpression') return []
      const path = prefix + key.name
      const { text, standard, ...comment } = said(docBefore(docs, source, start))
      if (text === '') throw new Error(`the option ${path} is not documented`)
      const inner = /^group/.test(calleeOf(value)) ? value.arguments[0] : undefined
      return [
        { path, type: typeOf(value, source), text, standard, comment },
        ...(inner?.type === 'Identifier' ? all(`${path}.`, inner.name) : []),
      ]
    })
  return all('', 'poolFields')
}

function calleeOf({ callee }: CallExpression): string {
  return callee.type === 'Identifier' ? callee.name : ''
}

/** What may be given, by how the option's kind is made. */
function typeOf(kind: Argument | Expression | undefined, source: string): string {
  if (kind?.type !== 'CallExpression') throw new Error('the kind of an option is a call')
  const name = calleeOf(kind)
  const [first] = kind.arguments
  const named = kind.typeArguments?.params[0]
  const type = named && source.slice(named.start, named.end).replace(/\s+/g, ' ')
  if (type !== undefined) return name === 'groupOrFalse' ? `${type} | false` : type
  if (name === 'secret' || name === 'withDefault') return typeOf(first, source)
  if (name === 'list') {
    const one = typeOf(first, source)
    return `${one} | readonly ${one.includes(' ') ? `(${one})` : one}[]`
  }
  if (name === 'choice' && first?.type === 'ArrayExpression') {
    return first.elements.map((value) => (value === null ? '' : source.slice(value.start, value.end))).join(' | ')
  }
  const known = types[name]
  if (known === undefined) throw new Error(`no type is known of the kind ${name}() of an option`)
  return known
}

/** The doc comment that stands right above. */
function docBefore(docs: readonly Comment[], source: string, start: number): Comment | undefined {
  const doc = docs.findLast(({ end }) => end <= start)
  return doc !== undefined && source.slice(doc.end, start).trim() === '' ? doc : undefined
}

function said(doc: Comment | undefined): Pick<OptionDoc, 'text' | 'standard'> & OptionDoc['comment'] {
  const whole = (doc?.value ?? '')
    .split('\n')
    .map((line) => line.replace(/^\s*\*+ ?/, '').trim())
    .join('\n')
  const [text = '', standard] = whole.split('@default')
  const flat = (part: string): string =>
    part
      .trim()
      .replace(/\n\n+/g, '\0')
      .replace(/\n(- )/g, '\0$1')
      .replace(/\s*\n/g, ' ')
  return {
    text: flat(text)
      .replaceAll('\0', '\n\n')
      .replace(/\{@link (\w+)\}/g, '`$1`'),
    standard: standard === undefined ? undefined : flat(standard).replaceAll('\0', ' '),
    start: doc?.start ?? 0,
    end: doc?.end ?? 0,
  }
}
