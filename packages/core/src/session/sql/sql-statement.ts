import { InvalidOptionError } from '../../errors/invalid-option-error.js'
import type { StatementConfig } from '../../wire/statement.js'

/**
 * The count of parameters is a 16-bit number in the protocol.
 * https://www.postgresql.org/docs/18/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-BIND
 */
export const mostParameters = 65_535

/** Texts of templates that no other piece of SQL is nested in: made once for each place in the source. */
const texts = new WeakMap<readonly string[], string>()

/**
 * A statement, or a piece of one, that was written with `sql`: text with placeholders, and the values apart from it.
 * It never changes, so that it may be kept, nested and run as often as one likes.
 *
 * @typeParam Row the type of a row that the statement gives; a claim by its author that nothing checks
 */
export class Sql<out Row = Record<string, unknown>> implements StatementConfig {
  /** SQL with `$1`, `$2`, ... where the values go. */
  readonly text: string
  /** One for each placeholder. */
  readonly values: readonly unknown[]
  /** Never there: it carries the type of a row to `query`, `stream` and `batch`. */
  declare readonly rowType?: () => Row
  /** What stands before, between and behind the values: one more than there are values. */
  readonly #strings: readonly string[]

  /** @internal use the `sql` template */
  constructor(strings: readonly string[], values: readonly unknown[], text: string = numbered(strings)) {
    if (values.length > mostParameters) {
      throw new InvalidOptionError(
        'the statement',
        `with ${values.length} values`,
        `up to ${mostParameters} in one statement; pass an array as one value (= any(...), unnest(...)), or use copyFrom`,
      )
    }
    this.#strings = strings
    this.values = Object.freeze(values)
    this.text = text
    Object.freeze(this)
  }

  /** Puts this piece behind what is there already: the texts grow together, the values follow. @internal */
  appendTo(strings: string[], values: unknown[]): void {
    const [first = '', ...rest] = this.#strings
    strings[strings.length - 1] += first
    for (const string of rest) strings.push(string)
    for (const value of this.values) values.push(value)
  }

  /** The text with something else in the place of each placeholder. @internal */
  render(value: (value: unknown, index: number) => string): string {
    let text = this.#strings[0] ?? ''
    for (const [index, one] of this.values.entries()) text += `${value(one, index)}${this.#strings[index + 1]}`
    return text
  }
}

/** What may stand in a template: another piece of SQL, or a value, which becomes a parameter. */
export function append(piece: unknown, where: () => string, strings: string[], values: unknown[]): void {
  if (piece instanceof Sql) {
    piece.appendTo(strings, values)
    return
  }
  values.push(asValue(piece, where))
  strings.push('')
}

/** A value that can be a parameter. `undefined` is nearly always a mistake: of a name, or of an `await` left out. */
export function asValue(value: unknown, where: () => string): unknown {
  if (value === undefined) {
    throw new InvalidOptionError(where(), 'undefined', 'any other value; null for NULL, sql`default` for the default')
  }
  if (typeof value === 'function' || typeof value === 'symbol') {
    throw new InvalidOptionError(where(), `a ${typeof value}`, 'a value that can be sent to the server')
  }
  return value
}

/** The body of the template. */
export function fromTemplate<Row>(template: TemplateStringsArray, pieces: readonly unknown[]): Sql<Row> {
  if (!isTemplate(template) || template.length !== pieces.length + 1) {
    throw new InvalidOptionError(
      'sql',
      'called as a function',
      'a template: sql`select ...`; sql.unsafe(text) for text',
    )
  }
  for (const [index, string] of template.entries()) {
    if (string !== undefined) continue
    const raw = JSON.stringify(template.raw[index])
    throw new InvalidOptionError('the template', `with an invalid escape in ${raw}`, 'two backslashes for one')
  }
  const where = (index: number) => () => placeOf(template, index)
  if (!pieces.some((piece) => piece instanceof Sql)) {
    const values = pieces.map((piece, index) => asValue(piece, where(index)))
    let text = texts.get(template)
    if (text === undefined) {
      text = numbered(template)
      texts.set(template, text)
    }
    return new Sql<Row>(template, values, text)
  }
  const strings: string[] = [template[0] as string]
  const values: unknown[] = []
  for (const [index, piece] of pieces.entries()) {
    append(piece, where(index), strings, values)
    strings[strings.length - 1] += template[index + 1] ?? ''
  }
  return new Sql<Row>(strings, values)
}

/**
 * Whether the language, or a compiler in its place, has made it. A plain array may be anybody's, such as the body of a
 * request: what stands in it would become SQL, also with a `raw` that was put on it.
 * https://tc39.es/ecma262/#sec-gettemplateobject
 */
function isTemplate(given: unknown): given is TemplateStringsArray {
  if (!Array.isArray(given) || !Object.isFrozen(given)) return false
  const { enumerable, value: raw }: PropertyDescriptor = Object.getOwnPropertyDescriptor(given, 'raw') ?? {}
  return enumerable === false && Array.isArray(raw) && raw.length === given.length && Object.isFrozen(raw)
}

/** Says which value is meant by its number and by what is written before it; never the value itself. */
function placeOf(template: TemplateStringsArray, index: number): string {
  const before = (template[index] ?? '').trimEnd().slice(-30).trimStart()
  return `value ${index + 1} of the statement (behind ${JSON.stringify(before)})`
}

function numbered(strings: readonly string[]): string {
  let text = strings[0] ?? ''
  for (let at = 1; at < strings.length; at++) text += `$${at}${strings[at]}`
  return text
}
