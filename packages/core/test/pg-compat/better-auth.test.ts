import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { betterAuth } from 'better-auth'
import { getMigrations } from 'better-auth/db/migration'
import { expect, test } from 'vitest'
import { killSessions } from '../support/kill-sessions.js'
import { rejection, testPool } from '../support/test-pool.js'

const database = useDatabase()

test('better-auth takes the facade as its database: migrations, accounts, sessions, also when sessions are killed', async () => {
  const pool = testPool(database.url, { max: 3 })
  const options = {
    database: pool.asPgPool(),
    secret: 'a secret of at least thirty-two letters',
    baseURL: 'http://localhost:3000',
    emailAndPassword: { enabled: true },
    telemetry: { enabled: false },
    logger: { disabled: true },
  }
  await (await getMigrations(options)).runMigrations()
  const auth = betterAuth(options)
  const body = { email: 'ada@example.com', password: 'correct horse battery', name: 'Ada' }
  const { user } = await auth.api.signUpEmail({ body })
  expect(user).toMatchObject({ email: body.email, name: 'Ada' })
  await rejection(auth.api.signUpEmail({ body }))

  await killSessions(database.url, pool)
  const { headers } = await auth.api.signInEmail({ body, returnHeaders: true })
  const cookie = headers.get('set-cookie')?.split(';')[0] ?? ''
  const session = await auth.api.getSession({ headers: new Headers({ cookie }) })
  expect(session?.user.email).toBe(body.email)
  await auth.api.signOut({ headers: new Headers({ cookie }) })
  expect(await auth.api.getSession({ headers: new Headers({ cookie }) })).toBeNull()
  expect((await pool.query('select email from "user"')).rows).toEqual([{ email: body.email }])
  expect(pool.stats().pool.active).toBe(0)
})
