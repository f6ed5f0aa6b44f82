export { type ServerSession, type SessionsOfOptions, sessionsOf } from '../cluster/sessions-of.js'
export type { ProvidedServer } from './provided-server.js'
export { type UseDatabaseOptions, type UsedDatabase, useDatabase } from './use-database.js'
