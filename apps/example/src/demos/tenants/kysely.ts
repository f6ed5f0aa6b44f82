import { withTransaction } from '@pg-lifeguard/kysely'
import type { KyselyDb } from '../../clients.js'
import type { AddContact, ContactsOf } from './contacts.js'

/** The role and the tenant hold for this transaction only; both travel with its first statement. */
const asTenant = (id: number) => ({ role: 'tenant', settings: { 'app.tenant_id': id } })

export const contactsOf: ContactsOf<KyselyDb> = (db, tenantId) =>
  withTransaction(
    db,
    async (trx) => {
      const rows = await trx.selectFrom('contact').select('name').orderBy('id').execute()
      return rows.map(({ name }) => name)
    },
    asTenant(tenantId),
  )

export const addContact: AddContact<KyselyDb> = (db, tenantId, owner, name) =>
  withTransaction(
    db,
    async (trx) => {
      await trx.insertInto('contact').values({ tenant_id: owner, name }).execute()
    },
    asTenant(tenantId),
  )
