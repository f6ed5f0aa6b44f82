import { withTransaction } from '@pg-lifeguard/drizzle'
import type { DrizzleDb } from '../../clients.js'
import { contact } from '../../schema/drizzle-tables.js'
import type { AddContact, ContactsOf } from './contacts.js'

/** The role and the tenant hold for this transaction only; both travel with its first statement. */
const asTenant = (id: number) => ({ role: 'tenant', settings: { 'app.tenant_id': id } })

export const contactsOf: ContactsOf<DrizzleDb> = (db, tenantId) =>
  withTransaction(
    db,
    async (tx) => {
      const rows = await tx.select({ name: contact.name }).from(contact).orderBy(contact.id)
      return rows.map(({ name }) => name)
    },
    asTenant(tenantId),
  )

export const addContact: AddContact<DrizzleDb> = (db, tenantId, owner, name) =>
  withTransaction(
    db,
    async (tx) => {
      await tx.insert(contact).values({ tenantId: owner, name })
    },
    asTenant(tenantId),
  )
