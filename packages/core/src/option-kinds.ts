import { millisecondsOf } from './base/duration.js'
import { isFields } from './errors/known-options.js'
import { dbNameAllowed, isDbName } from './sql/quote-name.js'

/** What one option may be, and how it is read from a URL or the environment. */
export interface OptionKind {
  /** What is allowed, for messages: `a whole number, 1 or more`. */
  readonly allowed: string
  /** The value in the form in which it is used; undefined when it is not allowed. */
  accept(value: unknown): unknown
  /** The value that a text in a URL stands for, to be accepted or not; absent where no text can say it. */
  readonly fromText?: (text: string) => unknown
  /** A group of options, which have entries of their own. */
  readonly isGroup?: boolean
  /** Never shown, whatever is wrong with it. */
  readonly isSecret?: boolean
}

/** The bounds of a number. */
export interface Bounds {
  /** The least that is allowed. @default 0 */
  readonly least?: number
  /** The value must be greater than this one, in place of `least`. @default undefined */
  readonly above?: number
  /** The most that is allowed. @default none */
  readonly most?: number
  /** Whether `Infinity` is allowed, and what it says: `no bound`. @default false */
  readonly infinity?: string
}

function inBounds(value: unknown, { least = 0, above, most, infinity }: Bounds): value is number {
  if (typeof value !== 'number' || Number.isNaN(value)) return false
  if (value === Number.POSITIVE_INFINITY) return infinity !== undefined
  if (above !== undefined ? value <= above : value < least) return false
  return most === undefined || value <= most
}

function boundsText({ least = 0, above, most }: Bounds): string {
  if (above !== undefined) return ` above ${above}`
  return most === undefined ? `, ${least} or more` : ` from ${least} to ${most}`
}

function infinityText({ infinity }: Bounds): string {
  return infinity === undefined ? '' : `; Infinity for ${infinity}`
}

function numberFromText(text: string): unknown {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text)
  return /^infinity$/i.test(text) ? Number.POSITIVE_INFINITY : text
}

/** A number of milliseconds, or a text with a unit. */
export function duration(bounds: Bounds = {}): OptionKind {
  const finite = bounds.infinity === undefined ? 'finite ' : ''
  return {
    allowed: `a ${finite}number of milliseconds${boundsText(bounds)}, or a text such as '500ms', '15s', '15m', '1h'${infinityText(bounds)}`,
    accept(value) {
      const ms = typeof value === 'string' ? millisecondsOf(value) : value
      return inBounds(ms, bounds) ? ms : undefined
    },
    fromText: numberFromText,
  }
}

/** A whole number. */
export function count(bounds: Bounds = {}): OptionKind {
  return {
    allowed: `a whole number${boundsText(bounds)}${infinityText(bounds)}`,
    accept: (value) =>
      inBounds(value, bounds) && (Number.isSafeInteger(value) || value === Number.POSITIVE_INFINITY)
        ? value
        : undefined,
    fromText: numberFromText,
  }
}

/** A number with fractions. */
export function amount(bounds: Bounds = {}): OptionKind {
  return {
    allowed: `a number${boundsText(bounds)}${infinityText(bounds)}`,
    accept: (value) => (inBounds(value, bounds) ? value : undefined),
    fromText: numberFromText,
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
export function flag(): OptionKind {
  return {
    allowed: 'a boolean, true or false',
    accept: (value) => (typeof value === 'boolean' ? value : undefined),
    fromText: (text) => booleanTexts[text] ?? text,
  }
}

/** A text that is not empty, without the zero byte that PostgreSQL cannot take. */
export function text(): OptionKind {
  return {
    allowed: 'a text of at least one character',
    accept: (value) => (typeof value === 'string' && value !== '' && !value.includes('\0') ? value : undefined),
    fromText: (given) => given,
  }
}

/**
 * The name of something in a database. A longer one, or one with half a surrogate pair, would arrive as that of another:
 * the server cuts off what a client logs in with, too.
 */
export function dbName(): OptionKind {
  return {
    allowed: dbNameAllowed,
    accept: (value) => (isDbName(value) ? value : undefined),
    fromText: (given) => given,
  }
}

/** One of a few texts. */
export function choice(...values: readonly string[]): OptionKind {
  return {
    allowed: `one of ${values.map((value) => `'${value}'`).join(', ')}`,
    accept: (value) => (values.includes(value as string) ? value : undefined),
    fromText: (given) => given,
  }
}

/** One or several, separated by commas or in an array, each as `one` has it; used as an array. */
export function list(one: OptionKind): OptionKind {
  const acceptAll = (values: readonly unknown[]): unknown => {
    const accepted = values.map((value) => one.accept(value))
    return accepted.length === 0 || accepted.includes(undefined) ? undefined : accepted
  }
  return {
    allowed: `${one.allowed}, or an array of such`,
    accept(value) {
      if (Array.isArray(value)) return acceptAll(value)
      return acceptAll(typeof value === 'string' ? value.split(',') : [value])
    },
    fromText: (given) => given.split(',').map((part) => one.fromText?.(part)),
  }
}

/** A function. */
export function callback(): OptionKind {
  return { allowed: 'a function', accept: (value) => (typeof value === 'function' ? value : undefined) }
}

/** An object with options of its own, each of which has an entry of its own, `group.option`. */
export function group(): OptionKind {
  return {
    allowed: 'an object with options',
    accept: (value) => (isFields(value) ? value : undefined),
    isGroup: true,
  }
}

/** A group of options, or `false` for off; in a URL `pool_name=off`. */
export function groupOrFalse(): OptionKind {
  const whole = group()
  return {
    ...whole,
    allowed: 'an object with options, or false for off',
    accept: (value) => (value === false ? value : whole.accept(value)),
    fromText: (given) => (booleanTexts[given] === false ? false : given),
  }
}

/** What only a test of its own can tell; no text can say it. */
export function custom(allowed: string, isAllowed: (value: unknown) => boolean): OptionKind {
  return { allowed, accept: (value) => (isAllowed(value) ? value : undefined) }
}
