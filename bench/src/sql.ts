/** Every peer runs the same statements on the same tables. */
export const items = 1_000

export const setup: readonly string[] = [
  'create table item (id int primary key, note text not null)',
  `insert into item select n, 'note ' || n from generate_series(1, ${items}) n`,
  'create table counter (id int primary key, value int not null)',
  'insert into counter values (1, 0)',
  'create unlogged table sink (id int not null, body text not null)',
  'vacuum analyze item, counter',
]

/** The note of the item with this id. */
export const noteOf = (id: unknown): string => `note ${id}`

export const selectItem = 'select id, note from item where id = $1'
/** How long the server works on `sleepTurn`, in milliseconds. */
export const turnMs = 5
export const sleepTurn = `select pg_sleep(${turnMs / 1_000})`
export const updateItem = 'update item set note = $2 where id = $1'
export const readCounter = 'select value from counter where id = $1'
export const writeCounter = 'update counter set value = $2 where id = $1'
export const insertRow = 'insert into sink (id, body) values ($1, $2)'
export const copyRows = 'copy sink (id, body) from stdin'
export const emptySink = 'truncate sink'
export const countSink = 'select count(*)::int as n from sink'
export const manyRows = "select n, 'row number ' || n as note, now() as at from generate_series(1, $1::int) n"
export const lock = 'select pg_advisory_lock($1)'
export const unlock = 'select pg_advisory_unlock($1)'
export const lockKey = 42

/** A conflict of serializable transactions, to be cured by running the transaction again. */
export function isConflict(error: unknown): boolean {
  return (error as { readonly code?: unknown }).code === '40001'
}
