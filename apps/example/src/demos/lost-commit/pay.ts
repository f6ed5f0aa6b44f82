/** Pays an order once, on a pool or through the client of an ORM on it. */
export type Pay<Db> = (db: Db, orderId: number, cents: number) => Promise<void>
