/**
 * Writes a draft under the lock and stores it, on a pool or through the client of an ORM on it; false when somebody with
 * a later lock was there before.
 */
export type Publish<Db> = (db: Db, draft: (signal: AbortSignal) => Promise<string>) => Promise<boolean>
