import type { Pool } from '@pg-lifeguard/core'
import type { AddContact, ContactsOf } from './contacts.js'

/** The role and the tenant hold for this transaction only; both travel with its first statement. */
const asTenant = (id: number) => ({ role: 'tenant', settings: { 'app.tenant_id': id } })

export const contactsOf: ContactsOf<Pool> = (pool, tenantId) =>
  pool.withTransaction(async (tx) => {
    const { rows } = await tx.query<{ name: string }>('select name from contact order by id')
    return rows.map(({ name }) => name)
  }, asTenant(tenantId))

export const addContact: AddContact<Pool> = (pool, tenantId, owner, name) =>
  pool.withTransaction(async (tx) => {
    await tx.query('insert into contact (tenant_id, name) values ($1, $2)', [owner, name])
  }, asTenant(tenantId))
