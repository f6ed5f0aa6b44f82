/** The names of the contacts that a tenant sees, on a pool or through the client of an ORM on it. */
export type ContactsOf<Db> = (db: Db, tenantId: number) => Promise<string[]>
/** Adds a contact that says that it belongs to `owner`, on behalf of a tenant. */
export type AddContact<Db> = (db: Db, tenantId: number, owner: number, name: string) => Promise<void>
