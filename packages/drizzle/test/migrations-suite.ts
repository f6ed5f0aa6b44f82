import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { UsedDatabase } from '@pg-lifeguard/testing/vitest'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type * as Adapter from '../src/index.js'

/** Slow enough that instances which do not wait for each other meet in it, and impossible to run twice. */
export const migration =
  'select pg_sleep(0.2); create table migrated (id int primary key); insert into migrated values (1)'

type Migrate = (db: never, config: { readonly migrationsFolder: string }) => Promise<unknown>

/** Drizzle's own `migrate` inside of `withMigrationLock`, with a folder as its version of drizzle-kit makes it. */
export function migrationsSuite(
  { createPool, drizzle }: typeof Adapter,
  migrate: Migrate,
  database: UsedDatabase,
  files: Readonly<Record<string, string>>,
): void {
  let migrationsFolder = ''
  beforeEach(async () => {
    migrationsFolder = await mkdtemp(join(tmpdir(), 'lifeguard-drizzle-'))
    for (const [path, text] of Object.entries(files)) {
      await mkdir(join(migrationsFolder, path, '..'), { recursive: true })
      await writeFile(join(migrationsFolder, path), text)
    }
  })
  afterEach(() => rm(migrationsFolder, { recursive: true, force: true }))

  test('instances that start together migrate one after the other, and only the first has something to do', async () => {
    const instance = async (): Promise<void> => {
      await using pool = createPool({ connectionString: database.url, max: 2 })
      const db = drizzle(pool)
      await pool.withMigrationLock(() => migrate(db as never, { migrationsFolder }), { waitMs: 20_000 })
    }
    await Promise.all([instance(), instance(), instance()])
    await using pool = createPool({ connectionString: database.url })
    const { rows } = await pool.query(
      'select (select count(*)::int from migrated) as made, count(*)::int as noted from drizzle.__drizzle_migrations',
    )
    expect(rows).toEqual([{ made: 1, noted: 1 }])
  })
}
