/** Where a query belongs inside of `pool.read`. */
export type Destination = 'replica' | 'primary'

/** One query in an ORM's own words, and where it belongs inside of `pool.read`. */
export interface RoutedQuery<Db> {
  /** As in the name of the test; no two of a corpus have the same. */
  readonly name: string
  readonly destination: Destination
  /** Why, where the query alone does not show it. */
  readonly because: string | undefined
  run(db: Db): PromiseLike<unknown>
}

/** Writes one line of a corpus. */
export type RoutedTo<Db> = (name: string, run: RoutedQuery<Db>['run'], because?: string) => RoutedQuery<Db>

/** The two ways to write a line of a corpus: `replica` for what reads, `primary` for everything else. */
export function routes<Db>(): Readonly<Record<Destination, RoutedTo<Db>>> {
  const to =
    (destination: Destination): RoutedTo<Db> =>
    (name, run, because) => ({ name, destination, because, run })
  return { replica: to('replica'), primary: to('primary') }
}
