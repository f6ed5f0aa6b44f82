import { useDatabase } from '@pg-lifeguard/testing/vitest'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  LifeguardError,
  type ManualTransaction,
  OperationTimeoutError,
  type Pool,
  type Queryable,
  sqlStateOf,
  type Transaction,
} from '../../src/index.js'
import { type Program, programs, type Step } from '../support/program.js'
import { predict, type Seen } from '../support/program-model.js'
import { longEnough, seeded } from '../support/seeded.js'
import { eventually, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table entry (run int not null, place text not null)' })
const insertSql = 'insert into entry values ($1, $2)'

class Thrown extends Error {}

/** What a rejection is, in the words of the model. */
function labelOf(error: unknown): string {
  if (error instanceof Thrown) return 'thrown'
  if (LifeguardError.isInstance(error)) return error.code
  return sqlStateOf(error) ?? String(error)
}

/** Runs programs on a real server, and tells what can be seen of them. */
class Runner {
  readonly #pool: Pool
  readonly #run: number
  readonly #outcomes: Record<string, string> = {}
  readonly #hooks: string[] = []

  constructor(pool: Pool, run: number) {
    this.#pool = pool
    this.#run = run
  }

  async see(program: Program): Promise<Seen> {
    this.#outcomes['whole'] = await this.#pool
      .withTransaction((tx) => this.#body(program, tx, tx, ''), { retry: { backoff: { baseMs: 0 } } })
      .then(() => 'returned', labelOf)
    const sql = 'select place from entry where run = $1'
    const { rows } = await this.#pool.query<{ place: string }>(sql, [this.#run])
    return { outcomes: this.#outcomes, rows: rows.map(({ place }) => place).sort(), hooks: this.#hooks.sort() }
  }

  /** @param on what statements go through: the handle of this level, or that of the savepoint begun by hand in it */
  async #body(program: Program, tx: Transaction, on: Queryable, place: string): Promise<void> {
    for (const [index, step] of program.entries()) await this.#step(step, tx, on, `${place}.${index}`)
  }

  /** Cancels that the server did not answer in time, on a busy machine: what became of the statement is unknown. */
  late = 0

  async #step(step: Step, tx: Transaction, on: Queryable, place: string): Promise<void> {
    const key = `${tx.attempt}:${place}`
    try {
      this.#outcomes[key] = 'pending'
      await this.#do(step, tx, on, place, key)
      this.#outcomes[key] = 'ok'
    } catch (error) {
      this.#outcomes[key] = labelOf(error)
      const isSwallowed = (step.do === 'fail' && step.swallowed) || (step.do === 'nested' && step.caught)
      if (!isSwallowed) throw error
    }
  }

  async #do(step: Step, tx: Transaction, on: Queryable, place: string, key: string): Promise<void> {
    const pool = this.#pool
    switch (step.do) {
      case 'insert':
        await (step.through === 'pool' ? pool : on).query(insertSql, [this.#run, key])
        return
      case 'fail':
        if (step.why === 'division') await on.query('select 1/0')
        else if (step.why === 'timeout') await this.#runOutOfTime(on)
        else if (tx.attempt === 1) await on.query("do $$ begin raise exception 'x' using errcode = '40001'; end $$")
        else await on.query('select 1')
        return
      case 'throw':
        throw new Thrown()
      case 'hook':
        tx.afterCommit(() => this.#hooks.push(`commit ${key}`))
        tx.afterRollback(() => this.#hooks.push(`rollback ${key}`))
        return
      case 'outside':
        await pool.outsideTransaction(() => pool.query(insertSql, [this.#run, key]))
        return
      case 'nested': {
        const level = step.through === 'pool' ? pool : tx
        await level.withTransaction((inner) => this.#body(step.body, inner, inner, place))
        return
      }
      case 'together':
        await Promise.allSettled(step.parts.map((part, index) => this.#step(part, tx, on, `${place}.${index}`)))
        return
      case 'manual':
        await this.#manual(await pool.beginTransaction(), step, tx, place)
    }
  }

  async #runOutOfTime(on: Queryable): Promise<void> {
    try {
      await on.query('select pg_sleep(30)', [], { timeoutMs: 200 })
    } catch (error) {
      if (error instanceof OperationTimeoutError && error.outcome === 'unknown') this.late += 1
      throw error
    }
  }

  async #manual(
    manual: ManualTransaction,
    { body, end }: Extract<Step, { do: 'manual' }>,
    tx: Transaction,
    place: string,
  ): Promise<void> {
    try {
      await this.#body(body, tx, manual, place)
    } catch (error) {
      await manual.rollback()
      throw error
    }
    if (end === 'commit') await manual.commit()
    if (end === 'rollback') await manual.rollback()
  }
}

test(
  'random programs of nested transactions do what a model without any server says',
  async () => {
    // Warm: connecting is no part of the time that a statement is given.
    const pool = testPool(database.url, { max: 8, min: 8 })
    await eventually('all connections are open', () => pool.stats().pool.idle === 8)
    const settings = { seed: Math.floor(Math.random() * 2 ** 31), ...seeded(240) }
    console.info(`seed ${settings.seed}; FC_SEED=${settings.seed} runs the same programs again`)
    let runs = 0
    let late = 0
    await fc.assert(
      // Several at the same time, so that a leak from one context into another would be seen.
      fc.asyncProperty(fc.array(programs, { minLength: 1, maxLength: 3 }), async (some) => {
        const runners = some.map(() => new Runner(pool, ++runs))
        const seen = await Promise.all(runners.map((runner, index) => runner.see(some[index] as Program)))
        for (const runner of runners) late += runner.late
        // The model knows nothing of a server that does not answer; its connection is closed.
        const known = some.filter((_, index) => runners[index]?.late === 0)
        expect(seen.filter((_, index) => runners[index]?.late === 0)).toEqual(known.map(predict))
        await eventually('every connection is back', () => pool.stats().pool.active === 0)
        const { waits, pool: connections } = pool.stats()
        expect(waits.waiting).toBe(0)
        expect(connections.closed).toBeLessThanOrEqual(late)
      }),
      settings,
    )
    expect(runs).toBeGreaterThan(300)
  },
  longEnough(60_000),
)
