import { useDatabase } from '@pg-lifeguard/testing/vitest'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { seeded } from '../support/seeded.js'
import { testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table entry (id int primary key)' })

const insert = 'insert into entry values ($1)'

/** One transaction that an ORM would run for its caller: some statements with pauses, in turns of the event loop. */
const program = fc.record({
  startsAfter: fc.nat(30),
  pauses: fc.array(fc.nat(20), { minLength: 1, maxLength: 3 }),
  fails: fc.boolean(),
})

async function pause(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
}

test('whatever runs side by side, what each is told is true once the transaction around is committed', async () => {
  const pool = testPool(database.url, { max: 1 })
  await fc.assert(
    fc.asyncProperty(fc.array(program, { minLength: 2, maxLength: 4 }), async (programs) => {
      await pool.query('truncate entry')
      const told = programs.map(() => false)
      const committed = await pool
        .withTransaction(async () => {
          await Promise.all(
            programs.map(async ({ startsAfter, pauses, fails }, at) => {
              await pause(startsAfter)
              const transaction = await pool.beginTransaction()
              try {
                for (const [step, turns] of pauses.entries()) {
                  await transaction.query(insert, [at * 10 + step])
                  await pause(turns)
                }
                if (fails) throw new Error('no')
                await transaction.commit()
                told[at] = true
              } catch {
                await transaction.rollback()
              }
            }),
          )
        })
        .then(
          () => true,
          () => false,
        )
      const { rows } = await pool.query<{ id: number }>('select id from entry order by id')
      const done = programs.flatMap(({ pauses }, at) =>
        committed && told[at] === true ? pauses.map((_, step) => at * 10 + step) : [],
      )
      // One may have been begun in another, and gone with that: there is no callback to tell what belongs to which.
      for (const { id } of rows) expect(done).toContain(id)
    }),
    seeded(60),
  )
})
