/** A table that is read as a whole: its column `a` has the numbers from 1 up to `rows`. */
export interface RowsTable {
  readonly name: string
  readonly rows: number
  /** What makes it, if it is not there; each a statement of its own. */
  readonly setup: readonly string[]
}

/** The columns by the kind of rows, made of a number `n`. */
const kinds = {
  ints: 'n as a, n + 1 as b, n * 2 as c, -n as d',
  text: "n as a, 'row number ' || n as b, 'some longer text, number ' || n as c",
  mixed: `n as a, n::int8 as b, 'text ' || n as c, n::float8 / 8 as d, n::numeric / 100 as e,
    timestamptz '2024-01-01 00:00+00' + n * interval '1.001 s' as f, n % 2 = 0 as g, md5(n::text)::uuid as h`,
  times: `n as a, timestamptz '2024-01-01 00:00+00' + n * interval '1.001 s' as b,
    timestamptz '2023-01-01 00:00+00' + n * interval '1.37 s' as c`,
  json: "n as a, jsonb_build_object('id', n, 'tags', jsonb_build_array('a', 'b'), 'name', 'row ' || n) as b",
  five: "n as a, 'text ' || n as b, n % 2 = 0 as c, n::float8 / 8 as d, timestamptz '2024-01-01 00:00+00' as e",
} as const

/** What rows may be made of. */
export type RowsKind = keyof typeof kinds

/** In tables, so that what is measured is how rows are read and not how they are made. */
export function tableOf(kind: RowsKind, rows: number): RowsTable {
  const name = `rows_${kind}_${rows}`
  const columns = kinds[kind]
  return {
    name,
    rows,
    setup: [
      `create unlogged table if not exists ${name} as select ${columns} from generate_series(1, ${rows}) n`,
      `vacuum analyze ${name}`,
    ],
  }
}

/** Values of so many bytes, which the server neither compresses nor has to expand. */
export function bytesTable(rows: number, bytes: number): RowsTable {
  const name = `rows_bytea_${rows}`
  return {
    name,
    rows,
    setup: [
      `create unlogged table if not exists ${name} (a int not null, b bytea not null)`,
      `alter table ${name} alter column b set storage external`,
      // 16 bytes at a time.
      `insert into ${name} select n, decode(repeat(md5(n::text), ${bytes / 16}), 'hex')
        from generate_series(1, ${rows}) n where not exists (select from ${name})`,
      `vacuum analyze ${name}`,
    ],
  }
}
