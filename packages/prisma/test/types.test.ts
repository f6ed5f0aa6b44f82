import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { PrismaPg } from '@prisma/adapter-pg'
import { makeTypedQueryFactory } from '@prisma/client/runtime/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Prisma, PrismaClient } from '../generated/prisma/client.js'
import { createPool, lifeguardAdapter, type Pool } from '../src/index.js'
import { rejection } from './schema.js'

const columns: Readonly<Record<string, string>> = {
  boolean: 'boolean',
  small: 'smallint',
  int: 'int',
  big: 'bigint',
  oid: 'oid',
  real: 'real',
  double: 'double precision',
  numeric: 'numeric(30, 10)',
  money: 'money',
  text: 'text',
  varchar: 'varchar(20)',
  char: 'char(5)',
  uuid: 'uuid',
  xml: 'xml',
  inet: 'inet',
  bit: 'bit(4)',
  varbit: 'varbit(8)',
  citext: 'citext',
  bytea: 'bytea',
  json: 'json',
  jsonb: 'jsonb',
  date: 'date',
  time: 'time(3)',
  timetz: 'timetz(3)',
  timestamp: 'timestamp(3)',
  timestamptz: 'timestamptz(3)',
  mood: 'mood',
  booleans: 'boolean[]',
  smalls: 'smallint[]',
  ints: 'int[]',
  bigs: 'bigint[]',
  reals: 'real[]',
  doubles: 'double precision[]',
  numerics: 'numeric(65, 30)[]',
  moneys: 'money[]',
  texts: 'text[]',
  varchars: 'varchar(20)[]',
  uuids: 'uuid[]',
  inets: 'inet[]',
  bits: 'bit(4)[]',
  byteas: 'bytea[]',
  jsons: 'json[]',
  jsonbs: 'jsonb[]',
  dates: 'date[]',
  times: 'time(3)[]',
  timestamps: 'timestamp(3)[]',
  timestamptzs: 'timestamptz(3)[]',
  moods: 'mood[]',
}
const table = Object.entries(columns).map(([name, type]) => `"${name}" ${type}`)
const database = useDatabase({
  setup: `create extension citext; create type mood as enum ('calm', 'wild'); create table kind (id int primary key, ${table})`,
})

const uuid = '123e4567-e89b-12d3-a456-426614174000'
const moment = new Date('2024-02-29T23:59:58.123Z')
const early = new Date('0099-01-01T00:00:00.000Z')
const bytes = Uint8Array.from([0, 1, 92, 127, 128, 255])
const awkward = 'a "b" \\ {c}, NULL\n\u{1F6DF}'

/** What is written, by what it is about: ordinary values, the ends of the ranges, and nothing. */
const rows: Readonly<Record<string, Omit<Prisma.KindCreateInput, 'id'>>> = {
  ordinary: {
    boolean: true,
    small: -7,
    int: 42,
    big: 12_345_678_901n,
    oid: 26,
    real: 1.5,
    double: 0.1,
    numeric: '1234.5678',
    money: '12.34',
    text: 'text',
    varchar: 'varchar',
    char: 'abcde',
    uuid,
    xml: '<a b="c"/>',
    inet: '192.168.0.1/24',
    bit: '1010',
    varbit: '101',
    citext: 'MiXed',
    bytea: bytes,
    json: { a: [1, 'two', null], b: { c: true } },
    jsonb: ['x', { y: 1.5 }],
    date: new Date('2024-02-29'),
    time: new Date('1970-01-01T12:34:56.789Z'),
    timetz: new Date('1970-01-01T12:34:56.789Z'),
    timestamp: moment,
    timestamptz: moment,
    mood: 'wild',
    booleans: [true, false],
    smalls: [1, -1],
    ints: [1, 2, 3],
    bigs: [1n, -9_007_199_254_740_993n],
    reals: [1.5, -2.25],
    doubles: [0.1, 1e300],
    numerics: ['1.5', '-0.000000000000000000000000000001'],
    moneys: ['1.50', '20.00'],
    texts: ['plain', awkward, '', 'null'],
    varchars: ['a', 'b c'],
    uuids: [uuid],
    inets: ['10.0.0.0/8'],
    bits: ['1010', '0101'],
    byteas: [bytes, Uint8Array.from([])],
    jsons: [{ a: 1 }, 'text', [1]],
    jsonbs: [{ a: { b: [null] } }, 2],
    dates: [new Date('2024-02-29'), new Date('1969-12-31')],
    times: [new Date('1970-01-01T00:00:00.000Z'), new Date('1970-01-01T23:59:59.999Z')],
    timestamps: [moment, new Date(0)],
    timestamptzs: [moment, new Date(0)],
    moods: ['calm', 'wild'],
  },
  'at its ends': {
    boolean: false,
    small: -32_768,
    int: 2_147_483_647,
    big: -9_223_372_036_854_775_808n,
    oid: 2_147_483_647,
    real: -3.402_823_5e38,
    double: Number.MIN_VALUE,
    numeric: '-99999999999999999999.9999999999',
    money: '0.01',
    text: awkward,
    varchar: '',
    char: 'a',
    inet: '::1',
    bit: '0000',
    varbit: '',
    citext: '',
    bytea: Uint8Array.from([]),
    json: awkward,
    jsonb: 0,
    date: new Date('9999-12-31'),
    time: new Date('1970-01-01T00:00:00.000Z'),
    timetz: new Date('1970-01-01T23:59:59.999Z'),
    timestamp: early,
    timestamptz: new Date('9999-12-31T23:59:59.999Z'),
    mood: 'calm',
    texts: [],
    byteas: [],
  },
  nothing: {},
}

let pool: Pool
let ours: PrismaClient
let theirs: PrismaClient

beforeAll(() => {
  pool = createPool({ connectionString: database.url, settings: { TimeZone: 'UTC' } })
  ours = new PrismaClient({ adapter: lifeguardAdapter(pool) })
  theirs = new PrismaClient({ adapter: new PrismaPg({ connectionString: database.url, options: '-c TimeZone=UTC' }) })
})

afterAll(async () => {
  await theirs.$disconnect()
  await pool.end()
})

describe('every type of PostgreSQL that Prisma knows, beside @prisma/adapter-pg', () => {
  test.each(Object.entries(rows))('%s', async (_, data) => {
    await pool.query('truncate kind')
    await ours.kind.create({ data: { id: 1, ...data } })
    await theirs.kind.create({ data: { id: 2, ...data } })
    const stored = await pool.query("select row_to_json(kind)::jsonb - 'id' as row from kind order by id")
    expect(stored.rows[0]).toEqual(stored.rows[1])
    for (const id of [1, 2]) {
      const read = await ours.kind.findUniqueOrThrow({ where: { id } })
      expect(read).toEqual(await theirs.kind.findUniqueOrThrow({ where: { id } }))
      expect(read).toMatchObject(
        Object.fromEntries(
          Object.entries(data).filter(
            ([name]) => !['numeric', 'money', 'char', 'real'].includes(name) && !/^(numeric|money)s$/.test(name),
          ),
        ),
      )
      const [raw] = await ours.$queryRaw<unknown[]>`select * from kind where id = ${id}`
      const [other] = await theirs.$queryRaw<unknown[]>`select * from kind where id = ${id}`
      expect(raw).toEqual(other)
    }
  })

  test('as parameters of a raw query', async () => {
    const ask = (client: PrismaClient) => client.$queryRaw`
      select ${1}::int as a, ${2n}::bigint as b, ${'x'}::text as c, ${true}::boolean as d, ${1.5}::float8 as e,
        ${moment}::timestamptz as f, ${moment}::timestamp as g, ${moment}::date as h, ${bytes}::bytea as i,
        ${{ a: [1] }}::jsonb as j, ${[1, 2]}::int[] as k, ${['x', awkward]}::text[] as l, ${null}::int as m,
        ${[moment]}::timestamptz[] as n, ${[true, false]}::boolean[] as o, ${uuid}::uuid as p, ${'12.50'}::numeric as q`
    expect(await ask(ours)).toEqual(await ask(theirs))
  })

  test('as literals, arrays of several dimensions, with gaps and with bounds included', async () => {
    const sql = `select '{{"a,b",c},{"}",NULL}}'::text[] as a, '[0:1]={7,8}'::int[] as b, array['x', null, 'NULL']::text[] as c,
      '{}'::bigint[] as d, 'name'::name as e, '{1,0}'::bit(1)[] as f, 'NaN'::float8 as g, '10.1.2.3/32'::cidr as h,
      '{t,NULL}'::boolean[] as i, array[null]::date[] as j, '{"(a","b)"}'::varchar[] as k, 7::oid as l`
    expect(await ours.$queryRawUnsafe(sql)).toEqual(await theirs.$queryRawUnsafe(sql))
  })

  test('one that Prisma has no value for is refused by its name', async () => {
    for (const literal of ["'1 day'::interval", "'(1,2)'::point", "'[1,2)'::int4range", 'pg_sleep(0)']) {
      const [own, other] = await Promise.all(
        [ours, theirs].map((client) => rejection(client.$queryRawUnsafe(`select ${literal}`))),
      )
      expect(own).toMatchObject({ code: 'P2010' })
      expect(own?.message).toBe(other?.message)
    }
  })

  test('in TypedSQL', async () => {
    const find = makeTypedQueryFactory('select $1::int + 1 as next')
    expect(await ours.$queryRawTyped(find(41) as never)).toEqual([{ next: 42 }])
  })
})

describe('what is right here and wrong there', () => {
  test.each(['Asia/Kolkata', 'America/New_York', 'UTC'])('moments in a session in %s', async (TimeZone) => {
    await using local = createPool({ connectionString: database.url, settings: { TimeZone } })
    const client = new PrismaClient({ adapter: lifeguardAdapter(local) })
    await client.kind.deleteMany()
    const time = new Date('1970-01-01T12:34:56.789Z')
    const data = {
      timestamp: moment,
      timestamptz: moment,
      timetz: time,
      timestamptzs: [moment],
      date: new Date('2024-02-29'),
    }
    await client.kind.create({ data: { id: 1, ...data } })
    expect(await client.kind.findFirst({ where: { timestamptz: moment, timestamp: moment } })).toMatchObject(data)
    const { rows } = await pool.query<{ ms: string }>(
      'select extract(epoch from timestamptz) * 1000 as ms from kind where timestamptz = $1',
      [moment],
    )
    expect(Number(rows[0]?.ms)).toBe(moment.getTime())
    const [raw] = await client.$queryRaw<{ at: Date; zoned: Date }[]>`
      select '2024-02-29 23:59:58.123Z'::timestamptz as at, '22:00:00-05:30'::timetz as zoned`
    expect(raw).toEqual({ at: moment, zoned: new Date('1970-01-01T03:30:00.000Z') })
  })

  test('money below zero and above a thousand', async () => {
    const { rows } = await pool.query<{ as: string }>('select (-1234567.5)::money::text as "as"')
    expect(rows).toHaveLength(1)
    const [row] = await ours.$queryRaw<{ a: unknown; b: unknown; c: unknown[] }[]>`
      select (-1234567.5)::money as a, 1000::money as b, array[(-0.05)::money] as c`
    expect([String(row?.a), String(row?.b), String(row?.c)]).toEqual(['-1234567.5', '1000', '-0.05'])
  })

  test('years before Christ and beyond 9999', async () => {
    for (const at of [new Date('-000043-03-15T12:00:00.000Z'), new Date('+012024-01-01T00:00:00.000Z')]) {
      await ours.kind.deleteMany()
      await ours.kind.create({ data: { id: 1, timestamp: at, timestamptz: at } })
      expect(await ours.kind.findFirst()).toMatchObject({ timestamp: at, timestamptz: at })
    }
    const [row] = await ours.$queryRaw<{ day: Date }[]>`select '0044-03-15 BC'::date as day`
    expect(row?.day).toEqual(new Date('-000043-03-15'))
  })

  test('arrays of times with a zone, and of names', async () => {
    const [row] = await ours.$queryRaw<unknown[]>`
      select '{01:02:03.004+00,NULL,00:30:00+01}'::timetz[] as times, '{a,"b c"}'::name[] as names`
    const at = (time: string) => new Date(`${time}Z`)
    expect(row).toEqual({
      times: [at('1970-01-01T01:02:03.004'), null, at('1970-01-01T23:30:00')],
      names: ['a', 'b c'],
    })
  })

  test('bytes in the older form of bytea_output', async () => {
    await using old = createPool({ connectionString: database.url, settings: { bytea_output: 'escape' } })
    const client = new PrismaClient({ adapter: lifeguardAdapter(old) })
    expect(await client.$queryRaw`select ${bytes}::bytea as b`).toEqual([{ b: bytes }])
  })
})
