/** Types that a user makes. */
export const ownTypes: readonly string[] = [
  "create type mood as enum ('sad', 'glad')",
  'create type pair as (n int, day date)',
  'create domain positive as int check (value > 0)',
]

/** Values of every kind of type that there is, as SQL. */
export const values = {
  whole:
    "1::int2, (-32768)::int2, 2147483647::int4, (-2147483648)::int4, 0, 9223372036854775807, 4294967295::oid, '-0'::int4",
  real: `1.5::float8, 'NaN'::float8, 'Infinity'::float8, '-Infinity'::float8, '-0'::float8, 1e300::float8, 5e-324::float8,
    0.1::float8, 0.30000000000000004::float8, 123456789.123456789::float8, 3.4e38::float4, 0.1::float4, 1e-45::float4`,
  exact:
    "1.50::numeric, 'NaN'::numeric, 'Infinity'::numeric, 12345678901234567890.0123456789, -0.0000001, 12.34::money",
  text: `'a'::text, ''::text, 'hä 🐘'::text, 'a'::char(5), 'ab'::varchar(3), 'n'::name, '"x"'::"char", repeat('long ', 3000),
    E'line\\nand \\\\ and \\''`,
  truth: 'true, false, null::bool',
  bytes: "'\\x'::bytea, '\\x00ff10'::bytea, decode(repeat('00ff', 5000), 'hex'), 'a'::bytea, '\\x5c78'::bytea",
  day: "'2024-01-31'::date, '0001-01-01'::date, '0044-03-15 BC'::date, '12345-01-02'::date, 'infinity'::date, '-infinity'::date",
  local: `'2024-01-31 12:30:00'::timestamp, '2024-03-31 02:30:00.1'::timestamp, '2024-10-27 02:30:00.123456'::timestamp,
    '1900-01-01 00:00:00.999999'::timestamp, '0050-01-01'::timestamp, '0044-03-15 12:00 BC'::timestamp,
    '99999-12-31 23:59:59'::timestamp, 'infinity'::timestamp, '-infinity'::timestamp`,
  moment: `'2024-01-31 12:30:00+00'::timestamptz, '2024-03-31 02:30:00.1+02'::timestamptz,
    '2024-10-27 02:30:00.123456-09:30'::timestamptz, '1883-11-18 12:00:00.999999+00'::timestamptz,
    '1969-12-31 23:59:59.999999+00'::timestamptz, '1999-12-31 23:59:59.000001+00'::timestamptz,
    '2286-01-01 00:00:00.000001+00'::timestamptz, '1700-01-01 00:00:00.000001+00'::timestamptz, '0050-01-01+00'::timestamptz,
    '0044-03-15 12:00+00 BC'::timestamptz, '4713-01-02+00 BC'::timestamptz, '99999-12-31 23:59:59+00'::timestamptz,
    '294276-12-31 23:59:59.999999+00'::timestamptz, 'infinity'::timestamptz, '-infinity'::timestamptz, null::timestamptz`,
  clock:
    "'12:30:00.5'::time, '24:00:00'::time, '12:30:00+02'::timetz, '1 year 2 mons -3 days 04:05:06.789'::interval, '0'::interval",
  json: `'{"a": [1, 2.5, null], "__proto__": 1}'::json, '{"b": "hä"}'::jsonb, '1'::jsonb, 'null'::json, '"x"'::json,
    '12345678901234567890'::json, '[]'::json`,
  other: `'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, '10.0.0.1/8'::inet, '10.0.0.0/8'::cidr, '08:00:2b:01:02:03'::macaddr,
    '(1,2)'::point, '<(1,2),3>'::circle, '((0,0),(1,1))'::box, '101'::bit(3), '10'::varbit, '<a/>'::xml, 'cat & rat'::tsquery,
    'a fat cat'::tsvector, '16/B374D848'::pg_lsn, 'pg_class'::regclass, '{1,2}'::int2[]::text`,
  arrays: `'{1,null,3}'::int4[], '{{1,2},{3,4}}'::int4[], '[2:3]={1,2}'::int4[], '{}'::int4[], '{1,-2}'::int8[], '{1.5,NaN}'::float8[],
    '{a,"b c",NULL,"NULL","{}"}'::text[], '{t,f,null}'::bool[], array['\\x00ff'::bytea, null], '{1.50,NaN}'::numeric[],
    array['2024-01-31 12:00:00.5+00'::timestamptz, 'infinity', null], '{2024-01-31}'::date[], array['1 day'::interval],
    array['{"a":1}'::jsonb], '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'::uuid[], array['(1,2)'::point]`,
  made: `row(1, 'a', null), (1, '2024-01-31')::pair, array[(1, '2024-01-31')::pair], 'sad'::mood, '{sad,glad}'::mood[],
    7::positive, '[1,5)'::int4range, 'empty'::int4range, '{[1,2),[5,7)}'::int4multirange,
    '["2024-01-31 00:00+00",)'::tstzrange, array['[1,2]'::int4range]`,
}

/** A query of a list of values, each under a name of its own. */
export function named(list: string): string {
  let depth = 0
  let quoted = false
  let n = 0
  // A comma between two values is one outside of brackets and quotes.
  const parts = [...list].map((char) => {
    if (char === "'") quoted = !quoted
    else if (!quoted && '([{'.includes(char)) depth += 1
    else if (!quoted && ')]}'.includes(char)) depth -= 1
    return char === ',' && !quoted && depth === 0 ? ` as c${n++},` : char
  })
  return `select ${parts.join('')} as c${n}`
}
