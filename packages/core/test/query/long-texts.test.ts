import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { afterAll, describe, expect, test } from 'vitest'
import { createPool, type Pool, sqlStateOf } from '../../src/index.js'

const database = useDatabase({ setup: 'create table item (id int)' })
let made: Pool | undefined
/** One for all: with a host that may be read from, so that the rule for reads is asked. */
function pool(): Pool {
  made ??= createPool({ connectionString: database.url, replicas: [{ connectionString: database.url }], max: 2 })
  return made
}
afterAll(() => made?.end())

/**
 * Two million characters, or eight, that the server reads in time in proportion to them. Comments that begin right after each other,
 * without a blank between, are none of those: it takes time by the square of their number, whoever sends them.
 */
const filled = (piece: string, characters = 2_000_000): string => piece.repeat(characters / piece.length)
const texts: readonly (readonly [string, string, string | undefined])[] = [
  ['a leading comment', `/*${filled('x', 8_000_000)}*/ select 1 as n`, undefined],
  ['comments in comments', `${filled('/* ')}${filled('*/ ')} select 1 as n`, undefined],
  ['parentheses', `${filled('(')}select 1`, '42601'],
  ['quotes', filled("'''"), '42601'],
  ['lines of comments', `${filled('-- begin\n')}select 1 as n`, undefined],
  ['semicolons', `${filled(';')}select 1 as n`, undefined],
  ['dollars', `select length($$${filled('$ ')}$$) as n`, undefined],
  ['backslashes', `select length(E'${filled('\\\\')}') as n`, undefined],
]

const ways: Readonly<Record<string, (text: string) => Promise<unknown>>> = {
  query: (text) => pool().query(text),
  transaction: (text) => pool().withTransaction((tx) => tx.query(text), { retry: false }),
  stream: async (text) => {
    for await (const row of pool().stream(text)) expect(row).toHaveProperty('n')
  },
  batch: (text) => pool().batch([{ text }]),
  together: (text) => pool().batchTogether([() => pool().query(text)]),
  view: (text) => pool().asPgPool().query(text),
  client: async (text) => {
    const client = await pool().asPgPool().connect()
    try {
      await client.query(text)
    } finally {
      client.release()
    }
  },
  read: (text) => pool().read(() => pool().query(text)),
}

describe('megabytes of a text are answered, or refused by the server', () => {
  test.each(texts)('%s', { timeout: 240_000 }, async (_, text, code) => {
    for (const [name, run] of Object.entries(ways)) {
      const seen = await run(text).then(() => undefined, sqlStateOf)
      expect(`${name} ${seen}`).toBe(`${name} ${code}`)
    }
    expect((await pool().query('select 1 as n')).rows).toEqual([{ n: 1 }])
  })
})
