import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { type SslMode, sslModes } from '../connection/connect/tls.js'
import { type Duration, millisecondsOf } from '../deadline/duration.js'
import { isFields } from '../errors/known-options.js'
import { dbNameAllowed, isDbName } from '../sql/quote.js'

/**
 * What one option may be, what stands where nothing was said, and how it is read from a URL or the environment.
 *
 * `Used` is the form in which it is used, `Given` that in which it may be given, `Default` its default or undefined.
 */
export interface OptionKind<Used = unknown, Given = unknown, Default = unknown> {
  /** What is allowed, for messages: `a whole number, 1 or more`. */
  readonly allowed: string
  /** The value in the form in which it is used; undefined when it is not allowed. */
  accept(value: unknown): Used | undefined
  /** What stands where nothing was said. */
  readonly default: Default
  /** The value that a string in a URL stands for, to be accepted or not; absent where no string can say it. */
  readonly fromText?: (text: string) => unknown
  /** Of a group: its options. */
  readonly fields?: OptionFields
  /** What it must be beside another option of its group, once the defaults are filled in. */
  readonly beside?: Beside | undefined
  /** Never shown, whatever is wrong with it; a string is what is shown in place of it. */
  readonly isSecret?: true | string
  /** Never there: for the types alone. */
  readonly given?: Given
}

/** Options by their names: all of a pool, or those of a group. */
export type OptionFields = Readonly<Record<string, OptionKind>>

/** What may be given for these options. */
export type OptionsOf<Fields> = {
  readonly [Name in keyof Fields]?: (Fields[Name] extends OptionKind<unknown, infer Given> ? Given : never) | undefined
}

/**
 * A second base for an interface of options, with nothing in it: of one with a single base and no members of its own the
 * compiler's messages name the base.
 */
export type Named = Readonly<Record<never, never>>

/** What they are when they are used: checked, durations in milliseconds, with every default filled in. */
export type ResolvedOf<Fields> = {
  readonly [Name in keyof Fields]: Fields[Name] extends OptionKind<infer Used, unknown, infer Default>
    ? Used | Default
    : never
}

/** The fields of which `Given` may be said, and which come to `Resolved`. */
type FieldsOf<Given, Resolved> = {
  readonly [Name in keyof Given & keyof Resolved]-?: OptionKind<
    Exclude<Resolved[Name], undefined>,
    Exclude<Given[Name], undefined>,
    Resolved[Name] | undefined
  >
}

/** A bound by another option of the same group. */
interface Beside {
  readonly option: string
  readonly holds: (value: number, other: number) => boolean
  readonly allowed: (other: number) => string
}

/** The bounds of a number, and its default. */
export interface NumberRule {
  /** The least that is allowed. @default 0 */
  readonly least?: number
  /** The value must be greater than this one, in place of `least`. @default undefined */
  readonly above?: number
  /** The most that is allowed. @default none */
  readonly most?: number
  /** Whether `Infinity` is allowed, and what it says: `no bound`. @default false */
  readonly infinity?: string
  /** An option of the same group that it must not be below. @default none */
  readonly notBelow?: string
  /** An option of the same group that it must not be above. @default none */
  readonly notAbove?: string
  /** What stands where nothing was said. @default undefined */
  readonly default?: number
}

/** The default that a rule has. */
type DefaultOf<Rule> = Rule extends { readonly default: number } ? number : undefined

function inBounds(value: unknown, { least = 0, above, most, infinity }: NumberRule): value is number {
  if (typeof value !== 'number' || Number.isNaN(value)) return false
  if (value === Number.POSITIVE_INFINITY) return infinity !== undefined
  if (above !== undefined ? value <= above : value < least) return false
  return most === undefined || value <= most
}

function boundsText({ least = 0, above, most }: NumberRule): string {
  if (above !== undefined) return ` above ${above}${most === undefined ? '' : `, at most ${most}`}`
  return most === undefined ? `, ${least} or more` : ` from ${least} to ${most}`
}

function infinityText({ infinity }: NumberRule): string {
  return infinity === undefined ? '' : `; Infinity for ${infinity}`
}

function numberFromText(given: string): unknown {
  if (/^\d+(\.\d+)?$/.test(given)) return Number(given)
  return /^infinity$/i.test(given) ? Number.POSITIVE_INFINITY : given
}

function besideOf(noun: string, { least = 0, notBelow, notAbove }: NumberRule): Beside | undefined {
  if (notBelow !== undefined) {
    return {
      option: notBelow,
      holds: (value, other) => value >= other,
      allowed: (other) => `${noun}, ${notBelow} (${other}) or more`,
    }
  }
  if (notAbove === undefined) return undefined
  return {
    option: notAbove,
    holds: (value, other) => value <= other,
    allowed: (other) => `${noun} from ${least} to ${notAbove} (${other})`,
  }
}

/** A number of milliseconds, or a string with a unit. */
export function duration<Rule extends NumberRule>(
  rule: Rule = {} as Rule,
): OptionKind<number, Duration, DefaultOf<Rule>> {
  const noun = `a ${rule.infinity === undefined ? 'finite ' : ''}number of milliseconds`
  return {
    allowed: `${noun}${boundsText(rule)}, or a string such as '500ms', '15s', '15m', '1h'${infinityText(rule)}`,
    accept(value) {
      const ms = typeof value === 'string' ? millisecondsOf(value) : value
      return inBounds(ms, rule) ? ms : undefined
    },
    default: rule.default as DefaultOf<Rule>,
    fromText: numberFromText,
    beside: besideOf(noun, rule),
  }
}

/** A whole number. */
export function count<Rule extends NumberRule>(rule: Rule = {} as Rule): OptionKind<number, number, DefaultOf<Rule>> {
  const noun = 'a whole number'
  return {
    allowed: `${noun}${boundsText(rule)}${infinityText(rule)}`,
    accept: (value) =>
      inBounds(value, rule) && (Number.isSafeInteger(value) || value === Number.POSITIVE_INFINITY) ? value : undefined,
    default: rule.default as DefaultOf<Rule>,
    fromText: numberFromText,
    beside: besideOf(noun, rule),
  }
}

/** A number with fractions. */
export function amount<Rule extends NumberRule>(rule: Rule = {} as Rule): OptionKind<number, number, DefaultOf<Rule>> {
  const noun = rule.infinity === undefined && rule.most === undefined ? 'a finite number' : 'a number'
  return {
    allowed: `${noun}${boundsText(rule)}${infinityText(rule)}`,
    accept: (value) => (inBounds(value, rule) ? value : undefined),
    default: rule.default as DefaultOf<Rule>,
    fromText: numberFromText,
    beside: besideOf(noun, rule),
  }
}

const booleanTexts: Readonly<Record<string, boolean>> = {
  true: true,
  on: true,
  yes: true,
  '1': true,
  false: false,
  off: false,
  no: false,
  '0': false,
}

/** `true` or `false`; in a URL also on, off, yes, no, 1 and 0. */
export function flag(standard: boolean): OptionKind<boolean, boolean, boolean> {
  return {
    allowed: 'a boolean, true or false',
    accept: (value) => (typeof value === 'boolean' ? value : undefined),
    default: standard,
    fromText: (given) => booleanTexts[given] ?? given,
  }
}

/** A text that is not empty, without the zero byte that PostgreSQL cannot take. */
export function text(): OptionKind<string, string, undefined>
export function text(standard: string): OptionKind<string, string, string>
export function text(standard?: string): OptionKind<string, string> {
  return {
    allowed: 'a string of at least one character',
    accept: (value) => (typeof value === 'string' && value !== '' && !value.includes('\0') ? value : undefined),
    default: standard,
    fromText: (given) => given,
  }
}

/**
 * The name of something in a database. A longer one, or one with half a surrogate pair, would arrive as that of another:
 * the server cuts off what a client logs in with, too.
 */
export function dbName(): OptionKind<string, string, undefined> {
  return {
    allowed: dbNameAllowed,
    accept: (value) => (isDbName(value) ? value : undefined),
    default: undefined,
    fromText: (given) => given,
  }
}

/** One of a few texts. */
export function choice<const Value extends string>(values: readonly Value[]): OptionKind<Value, Value, undefined>
export function choice<const Value extends string>(
  values: readonly Value[],
  standard: NoInfer<Value>,
): OptionKind<Value, Value, Value>
export function choice<Value extends string>(values: readonly Value[], standard?: Value): OptionKind<Value, Value> {
  return {
    allowed: `one of ${values.map((value) => `'${value}'`).join(', ')}`,
    accept: (value) => values.find((one) => one === value),
    default: standard,
    fromText: (given) => given,
  }
}

/** One or several, separated by commas or in an array, each as `one` has it; used as an array. */
export function list<Used, Given, Default extends readonly Used[] | undefined = undefined>(
  one: OptionKind<Used, Given>,
  standard?: Default,
): OptionKind<readonly Used[], Given | readonly Given[], Default> {
  const acceptAll = (values: readonly unknown[]): readonly Used[] | undefined => {
    const accepted = values.map((value) => one.accept(value))
    return accepted.length === 0 || accepted.includes(undefined) ? undefined : (accepted as Used[])
  }
  return {
    allowed: `${one.allowed}, or an array of such`,
    accept(value) {
      if (Array.isArray(value)) return acceptAll(value)
      return acceptAll(typeof value === 'string' ? value.split(',') : [value])
    },
    default: standard as Default,
    fromText: (given) => given.split(',').map((part) => one.fromText?.(part)),
  }
}

/** A function. */
export function callback<Fn extends (...values: never[]) => unknown>(): OptionKind<Fn, Fn, undefined> {
  return {
    allowed: 'a function',
    accept: (value) => (typeof value === 'function' ? (value as Fn) : undefined),
    default: undefined,
  }
}

/** An object with options of its own. Its default is that of each of them. */
export function group<Given, Resolved>(fields: FieldsOf<Given, Resolved>): OptionKind<Resolved, Given, Resolved> {
  return {
    allowed: 'an object with options',
    accept: (value) => (isFields(value) ? (value as Resolved) : undefined),
    default: defaultsOf(fields) as Resolved,
    fields,
  }
}

/** A group of options, or `false` for off; in a URL `pool_name=off`. */
export function groupOrFalse<Given, Resolved>(
  fields: FieldsOf<Given, Resolved>,
): OptionKind<Resolved | false, Given | false, Resolved> {
  const whole = group(fields)
  return {
    ...whole,
    allowed: 'an object with options, or false for off',
    accept: (value) => (value === false ? value : whole.accept(value)),
    fromText: (given) => (booleanTexts[given] === false ? false : given),
  }
}

/** What only a test of its own can check; no string can say it. */
export function custom<Value>(
  allowed: string,
  isAllowed: (value: unknown) => boolean,
): OptionKind<Value, Value, undefined> {
  return { allowed, accept: (value) => (isAllowed(value) ? (value as Value) : undefined), default: undefined }
}

/** The same, and never shown. */
export function secret<Used, Given, Default>(
  kind: OptionKind<Used, Given, Default>,
  insteadOfText: true | string = true,
): OptionKind<Used, Given, Default> {
  return { ...kind, isSecret: insteadOfText }
}

/** The same, with a default. */
export function withDefault<Used, Given>(
  kind: OptionKind<Used, Given>,
  standard: NoInfer<Used>,
): OptionKind<Used, Given, Used> {
  return { ...kind, default: standard }
}

/** These options by their paths, those of groups included: `locks`, `locks.heartbeatMs`. */
export function byPath(prefix: string, fields: OptionFields): [string, OptionKind][] {
  return Object.entries(fields).flatMap(([name, kind]) => [
    [prefix + name, kind] as [string, OptionKind],
    ...(kind.fields === undefined ? [] : byPath(`${prefix}${name}.`, kind.fields)),
  ])
}

/** What stands for each of these options where nothing was said. */
export function defaultsOf<Fields extends OptionFields>(fields: Fields): ResolvedOf<Fields> {
  return Object.fromEntries(Object.entries(fields).map(([name, kind]) => [name, kind.default])) as ResolvedOf<Fields>
}

/** The port where none was said. */
export const defaultPort = 5_432

/** Whether it is an object, of whatever class. */
export const isObject = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** A port. Also as text, as it comes from the environment. In a list of a URL one may be left out, `1,,3`: the default one. */
export function port(): OptionKind<number, number | string> {
  const number = count({ least: 1, most: 65_535 })
  return {
    ...number,
    accept: (given) => number.accept(typeof given === 'string' && /^\d+$/.test(given) ? Number(given) : given),
    fromText: (given) => (given === '' ? defaultPort : number.fromText?.(given)),
  }
}

type Password = string | (() => string | Promise<string>)

/** A text, which is never shown, or a function that gives one. */
export function password(): OptionKind<Password, Password, undefined> {
  return secret({
    allowed: 'a string, or a function that gives one or a promise of one',
    accept: (value) =>
      (typeof value === 'string' && !value.includes('\0')) || typeof value === 'function'
        ? (value as Password)
        : undefined,
    default: undefined,
    fromText: (given) => given,
  })
}

type Ssl = boolean | SslMode | 'no-verify' | TlsOptions

/** What is said of TLS. `pg` takes two of these as text. */
export function ssl(): OptionKind<Ssl, Ssl, undefined> {
  const texts: readonly unknown[] = [...sslModes, 'no-verify']
  return {
    allowed: `true, false, one of ${texts.join(', ')}, or an object for tls.connect`,
    accept(value) {
      if (value === 'true') return true
      return typeof value === 'boolean' || texts.includes(value) || isFields(value) ? (value as Ssl) : undefined
    },
    default: undefined,
  }
}

/** A URL, which is never shown. */
export function replicaUrl(): OptionKind<string, string, undefined> {
  const isUrl = (value: unknown): boolean => typeof value === 'string' && /^postgres(ql)?:\/\//.test(value)
  return secret(custom('postgres://user:password@host:port/database', isUrl), 'not a URL of PostgreSQL')
}
