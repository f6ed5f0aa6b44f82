import pg from 'pg'

/** `pg`'s own reader of arrays, which its types do not show. */
const { arrayParser } = pg.types as unknown as {
  readonly arrayParser: { create(text: string, read: (element: string | null) => unknown): { parse(): unknown[] } }
}

/**
 * Reads an array in the form in which the server sends it, `{1,NULL,"a b"}`, with arrays in it when it has more than one
 * dimension; bounds of its own, `[0:1]={1,2}`, are skipped. For adapters.
 * https://www.postgresql.org/docs/18/arrays.html#ARRAYS-IO
 *
 * @internal
 */
export function readArray(text: string, readElement: (element: string) => unknown): unknown[] {
  return arrayParser.create(text, (element) => (element === null ? null : readElement(element))).parse()
}
