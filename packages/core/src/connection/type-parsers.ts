import pg from 'pg'
import { fieldNames, isFields } from '../errors/known-options.js'
import { InvalidArgumentError } from '../errors/lifeguard-error.js'
import type { TypeParsers } from './pg-internals.js'
import { isoDate, isoTimestamp, readArray } from './text-formats.js'

/**
 * As what values of some types come back. What is not chosen is as `pg` has it, and so is what a statement with `types` of
 * its own says. Arrays of a type follow the choice for it.
 */
export interface TypeChoices {
  /** 64-bit integers. `number` throws for what it cannot hold exactly, beyond 2^53 - 1. @default 'string' */
  readonly int8?: 'string' | 'bigint' | 'number' | undefined
  /** `number` loses digits beyond about 15. @default 'string' */
  readonly numeric?: 'string' | 'number' | undefined
  /** As a Date it is midnight in the time zone of the process. @default 'date' */
  readonly date?: 'date' | 'string' | 'iso' | undefined
  /** Has no time zone; as a Date it is read in that of the process, as `iso` it has none either. @default 'date' */
  readonly timestamp?: 'date' | 'string' | 'iso' | undefined
  /**
   * A point in time; as a string it is in the time zone of the session, and keeps its microseconds. `iso` is that string in
   * the form of ISO 8601, which JavaScript and JSON's readers take: `2024-01-31T12:00:00.123456+02:00`.
   *
   * @default 'date'
   */
  readonly timestamptz?: 'date' | 'string' | 'iso' | undefined
  /** `json` and `jsonb`; as a string, numbers keep all of their digits. @default 'parsed' */
  readonly json?: 'parsed' | 'string' | undefined
  /** As an object it is `{ days: 1, hours: 2 }`. @default 'object' */
  readonly interval?: 'object' | 'string' | undefined
  /** Parsers by the oid of a type, as in `pg_type`; they win over the choices. They get the text that the server sent. */
  readonly parsers?: Readonly<Record<number, (text: string) => unknown>> | undefined
}

/** The choices with the types they are about: oid of the type, and of its array. */
const kinds = {
  int8: { oids: [[20, 1016]], allowed: ['string', 'bigint', 'number'] },
  numeric: { oids: [[1700, 1231]], allowed: ['string', 'number'] },
  date: { oids: [[1082, 1182]], allowed: ['date', 'string', 'iso'] },
  timestamp: { oids: [[1114, 1115]], allowed: ['date', 'string', 'iso'] },
  timestamptz: { oids: [[1184, 1185]], allowed: ['date', 'string', 'iso'] },
  json: {
    oids: [
      [114, 199],
      [3802, 3807],
    ],
    allowed: ['parsed', 'string'],
  },
  interval: { oids: [[1186, 1187]], allowed: ['object', 'string'] },
} as const

type Kind = keyof typeof kinds
type Parser = (text: string) => unknown

const asIs: Parser = (text) => text

/** What makes a value of another kind than `pg` does. Undefined for what `pg` does by itself. */
const parserFor: Readonly<Record<Kind, (choice: string) => Parser | undefined>> = {
  int8: (choice) => (choice === 'bigint' ? BigInt : choice === 'number' ? exactNumber : asIs),
  numeric: (choice) => (choice === 'number' ? Number : asIs),
  date: (choice) => (choice === 'iso' ? isoDate : stringOrNot(choice)),
  timestamp: (choice) => (choice === 'iso' ? isoTimestamp : stringOrNot(choice)),
  timestamptz: (choice) => (choice === 'iso' ? isoTimestamp : stringOrNot(choice)),
  json: stringOrNot,
  interval: stringOrNot,
}

function stringOrNot(choice: string): Parser | undefined {
  return choice === 'string' ? asIs : undefined
}

/** @throws RangeError, without the digits, which are data */
function exactNumber(text: string): number {
  const value = Number(text)
  if (Number.isSafeInteger(value)) return value
  throw new RangeError("an int8 is beyond what a number holds exactly (2^53 - 1); choose types: { int8: 'bigint' }")
}

/**
 * The parsers for `types`, which is either such an object already or a choice of kinds.
 *
 * @throws InvalidArgumentError for a kind or a choice that there is not
 */
export function typeParsers(types: TypeParsers | TypeChoices): TypeParsers {
  if (typeof types !== 'object' || types === null) {
    throw new InvalidArgumentError('types', `of type ${typeof types}`, 'an object')
  }
  if ('getTypeParser' in types) return types
  const chosen = new Map<number, Parser>()
  if (!isFields(types)) throw new InvalidArgumentError('types', 'of another kind', 'an object of choices')
  for (const name of fieldNames(types)) {
    if (name !== 'parsers' && !Object.hasOwn(kinds, name)) {
      throw new InvalidArgumentError(`types.${name}`, 'not an option', `${Object.keys(kinds).join(', ')}, parsers`)
    }
    const choice = types[name as Kind]
    if (choice === undefined || name === 'parsers') continue
    const { oids, allowed } = kinds[name as Kind]
    if (!(allowed as readonly unknown[]).includes(choice)) {
      throw new InvalidArgumentError(
        `types.${name}`,
        JSON.stringify(choice),
        allowed.map((one) => `'${one}'`).join(' or '),
      )
    }
    const parser = parserFor[name as Kind](choice as string)
    if (parser === undefined) continue
    for (const [oid, arrayOid] of oids) {
      chosen.set(oid, parser)
      chosen.set(arrayOid, (text) => readArray(text, parser))
    }
  }
  const { parsers } = types
  if (parsers !== undefined && !isFields(parsers)) {
    throw new InvalidArgumentError('types.parsers', `of type ${typeof parsers}`, 'an object of functions by oid')
  }
  for (const oid of parsers === undefined ? [] : fieldNames(parsers)) {
    const parser: unknown = parsers?.[oid as never]
    if (typeof parser !== 'function' || !/^[1-9]\d*$/.test(oid)) {
      throw new InvalidArgumentError(
        `types.parsers.${oid}`,
        `of type ${typeof parser}`,
        'a function, under the oid of a type',
      )
    }
    chosen.set(Number(oid), parser as Parser)
  }
  return {
    getTypeParser: (oid, format) =>
      (format === 'binary' ? undefined : chosen.get(oid)) ?? (pg.types.getTypeParser(oid, format) as Parser),
  }
}
