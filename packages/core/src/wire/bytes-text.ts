import pg from 'pg'

/**
 * Reads a `bytea` in the form in which the server sends it, hex or the older escapes: `pg`'s own reader, as it was before
 * anybody could set another one. https://www.postgresql.org/docs/18/datatype-binary.html
 *
 * @internal for adapters
 */
export const readBytes: (text: string) => Buffer = pg.types.getTypeParser(pg.types.builtins.BYTEA)
