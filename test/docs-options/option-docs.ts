import { type Comment, parseSync, Visitor } from 'oxc-parser'
import { files, read } from '../support/workspace.js'

/** A field of an interface of options, with what its documentation says. */
export interface FieldDocs {
  readonly name: string
  /** Its type, as it is written. */
  readonly type: string
  readonly text: string
  /** What `@default` says. */
  readonly standard: string | undefined
}

/** An interface: its own fields, and the names of those that it extends. */
interface Interface {
  readonly parents: readonly string[]
  readonly fields: readonly FieldDocs[]
}

/** The fields of every interface of the core, inherited ones included, by its name. */
export class OptionDocs {
  readonly #interfaces = new Map<string, Interface>()

  /** @throws Error when a file does not parse */
  static ofCore(): OptionDocs {
    const docs = new OptionDocs()
    for (const path of files('packages/core/src/**/*.ts')) docs.#add(path, read(path))
    return docs
  }

  /** Fields of this interface; those that it inherits come first. */
  fieldsOf(name: string): readonly FieldDocs[] {
    const found = this.#interfaces.get(name)
    if (found === undefined) return []
    return [...found.parents.flatMap((parent) => this.fieldsOf(parent)), ...found.fields]
  }

  /** The interface among those that a type names whose fields are known. */
  interfaceIn(type: string): string | undefined {
    return type.match(/[A-Z]\w+/g)?.find((name) => this.#interfaces.has(name))
  }

  #add(path: string, source: string): void {
    const { program, comments, errors } = parseSync(path, source)
    const [error] = errors
    if (error !== undefined) throw new Error(`${path} does not parse: ${error.message}`)
    const docs = comments.filter(({ type, value }) => type === 'Block' && value.startsWith('*'))
    const interfaces = this.#interfaces
    new Visitor({
      TSInterfaceDeclaration({ id, body, extends: parents }) {
        const fields = body.body.flatMap((member): FieldDocs[] => {
          if (member.type !== 'TSPropertySignature' || member.key.type !== 'Identifier') return []
          const { start, end } = member.typeAnnotation?.typeAnnotation ?? member
          const type = source.slice(start, end).replace(/\s+/g, ' ')
          return [{ name: member.key.name, type, ...said(docBefore(docs, source, member.start)) }]
        })
        interfaces.set(id.name, {
          parents: parents.flatMap(({ expression }) => (expression.type === 'Identifier' ? [expression.name] : [])),
          fields,
        })
      },
    }).visit(program)
  }
}

/** The doc comment that stands right above. */
function docBefore(docs: readonly Comment[], source: string, start: number): string {
  const doc = docs.findLast(({ end }) => end <= start)
  return doc !== undefined && source.slice(doc.end, start).trim() === '' ? doc.value : ''
}

function said(comment: string): Pick<FieldDocs, 'text' | 'standard'> {
  const whole = comment
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
  }
}
