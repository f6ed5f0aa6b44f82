/** The tables of the demo could not be removed from somebody's own server. */
export class TablesLeftError extends Error {
  override readonly name = 'TablesLeftError'

  constructor(schema: string, options: { readonly cause: unknown }) {
    super(`the schema ${schema} could not be dropped; please do: drop schema ${schema} cascade`, options)
  }
}
