import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { expect, test } from 'vitest'
import type { KyselyDb } from '../src/clients.js'
import { Office } from '../src/office.js'
import { runSale, type SaleResult } from '../src/sale.js'
import type { Buy } from '../src/ways/way.js'

const database = useDatabase()

/** What the checks say of a way that is wrong on purpose: 4 buyers, 2 tickets. */
async function saleBy(buy: Buy<KyselyDb>, oversells = false): Promise<SaleResult> {
  await using office = await Office.open({
    kind: 'DATABASE_URL',
    url: database.url,
    version: '18',
  })
  return await runSale(
    office,
    { oversells },
    ({ kysely }, ...sale) => buy(kysely, ...sale),
    { buyers: 4, tickets: 2 },
    new AbortController().signal,
    () => undefined,
  )
}

test('a way that says sold and writes nothing is found out', async () => {
  const sale = await saleBy(async () => ({ sold: true, attempts: 1 }))
  expect(sale).toMatchObject({ sold: 0, soldWithoutTicket: 4 })
  expect(sale.problems).toEqual([
    'it sold 0 tickets, expected 2',
    "4 buyer(s) got the answer 'sold' and have no ticket",
  ])
})

test('a way that writes and says sold out is found out', async () => {
  const sale = await saleBy(async (db, event_id, buyer) => {
    await db.insertInto('ticket').values({ event_id, buyer }).execute()
    return { sold: buyer > 1, attempts: 3 }
  })
  expect(sale).toMatchObject({ sold: 4, oversold: 2, turnedAway: 1, ticketWithoutSold: 1, retries: 8 })
  expect(sale.problems).toEqual([
    'it sold 4 tickets, expected 2',
    "1 ticket(s) belong to a buyer who did not get the answer 'sold'",
  ])
})

test('a way that fails is found out', async () => {
  const sale = await saleBy(async () => {
    throw new Error('no paper')
  })
  expect(sale.problems).toEqual(['4 buyer(s) got an error: no paper', 'it sold 0 tickets, expected 2'])
})

test('a naive way that does not oversell is a failure of the demo', async () => {
  const sale = await saleBy(async (db, event_id, buyer) => {
    const sold = buyer <= 2
    if (sold) await db.insertInto('ticket').values({ event_id, buyer }).execute()
    return { sold, attempts: 1 }
  }, true)
  expect(sale.problems).toEqual(['it sold 2 of 2 tickets and was expected to oversell: try more buyers'])
})
