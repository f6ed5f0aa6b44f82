import { withTransaction } from '@pg-lifeguard/prisma'
import type { PrismaDb } from '../../clients.js'
import type { AddContact, ContactsOf } from './contacts.js'

/** The role and the tenant hold for this transaction only; both travel with its first statement. */
const asTenant = (id: number) => ({ role: 'tenant', settings: { 'app.tenant_id': id } })

export const contactsOf: ContactsOf<PrismaDb> = (prisma, tenantId) =>
  withTransaction(
    prisma,
    async (tx) => {
      const rows = await tx.contact.findMany({ orderBy: { id: 'asc' } })
      return rows.map(({ name }) => name)
    },
    asTenant(tenantId),
  )

export const addContact: AddContact<PrismaDb> = (prisma, tenantId, owner, name) =>
  withTransaction(
    prisma,
    async (tx) => {
      await tx.contact.create({ data: { tenantId: owner, name } })
    },
    asTenant(tenantId),
  )
