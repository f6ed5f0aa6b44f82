import { useDatabase } from '@pg-lifeguard/testing/vitest'
import pg from 'pg'
import { expect, test } from 'vitest'

const database = useDatabase({
  setup: async (client) => {
    await client.query('create table item (id int)')
  },
  leftoverTimeoutMs: 50,
})

test('leaks a connection', async () => {
  const client = new pg.Client({ connectionString: database.url, application_name: 'leaky shop' })
  client.on('error', () => undefined)
  await client.connect()
  expect((await client.query('select id from item')).rows).toEqual([])
})
