import type { ErrorClass, IsolationLevel, Pool, Transaction } from '@pg-lifeguard/core'
import { oneOf } from '../support/random.js'

export const accounts = 20
const openingBalance = 1_000
export const total = accounts * openingBalance

/** Without a unique constraint on the operation: what is applied twice must be seen. */
export const setup = `
  create table account (id int primary key, balance int not null);
  insert into account select id, ${openingBalance} from generate_series(1, ${accounts}) id;
  create table transfer (operation text not null, debtor int not null, creditor int not null, amount int not null);`

/** What was reported to a worker about a transfer. */
export type Reported = 'committed' | 'unknown' | 'rolled back'

/** One transfer, as its worker knows it. */
export interface Transfer {
  readonly operation: string
  readonly isolation: IsolationLevel
  readonly reported: Reported
  /** Name of the error, if there was one. */
  readonly error: string | undefined
  /** Why it was run again, each time. */
  readonly retries: readonly ErrorClass[]
}

/** The two ways to move money without losing any. */
const isolations: readonly IsolationLevel[] = ['serializable', 'read committed']

/** Moves money about until it is stopped; every transfer ends up in `ledger`. */
export async function work(
  pool: Pool,
  name: string,
  random: () => number,
  ledger: Transfer[],
  isOver: () => boolean,
): Promise<void> {
  for (let i = 0; !isOver(); i++) {
    const operation = `${name}-${i}`
    const isolation = oneOf(random, isolations)
    const debtor = 1 + Math.floor(random() * accounts)
    const creditor = 1 + ((debtor + Math.floor(random() * (accounts - 1))) % accounts)
    const amount = 1 + Math.floor(random() * 50)
    let retries: readonly ErrorClass[] = []
    const move = async (tx: Transaction): Promise<void> => {
      retries = tx.retries.map(({ reason }) => reason)
      // In the order of the transfer, not of the ids: deadlocks are part of the game.
      const lock = isolation === 'serializable' ? '' : ' for update'
      for (const [id, change] of [
        [debtor, -amount],
        [creditor, amount],
      ] as const) {
        const { rows } = await tx.query<{ balance: number }>(`select balance from account where id = $1${lock}`, [id])
        const balance = (rows[0]?.balance ?? 0) + change
        await tx.query('update account set balance = $1 where id = $2', [balance, id])
      }
      await tx.query('insert into transfer values ($1, $2, $3, $4)', [operation, debtor, creditor, amount])
    }
    const [reported, error] = await pool
      // Many workers want few accounts: the default is not made for that.
      .withTransaction(move, { isolation, proveCommit: true, retry: { attempts: 100 } })
      .then(() => ['committed', undefined] as const, reportedBy)
    ledger.push({ operation, isolation, reported, error, retries })
  }
}

function reportedBy(error: unknown): readonly [Reported, string] {
  const name = error instanceof Error ? error.name : String(error)
  const { code = '' } = error as { readonly code?: string }
  return [name === 'CommitUnknownError' ? 'unknown' : 'rolled back', `${name} ${code}`.trim()]
}

/** What the books say at the end, against what was reported to the workers. One line for each thing that is wrong. */
export function audit(sum: number, rows: ReadonlyMap<string, number>, ledger: readonly Transfer[]): string[] {
  const wrong: string[] = []
  if (sum !== total) wrong.push(`the sum is ${sum} in place of ${total}`)
  const known = new Set(ledger.map(({ operation }) => operation))
  for (const operation of rows.keys())
    if (!known.has(operation)) wrong.push(`${operation} is there, and nobody made it`)
  for (const { operation, reported, error } of ledger) {
    const times = rows.get(operation) ?? 0
    if (times > 1) wrong.push(`${operation} was applied ${times} times`)
    else if (reported === 'committed' && times === 0)
      wrong.push(`${operation} was reported as committed, and is missing`)
    else if (reported === 'rolled back' && times === 1)
      wrong.push(`${operation} was reported as ${error}, and is there`)
    // The server lives all the time, and every commit asks for its proof.
    else if (reported === 'unknown') wrong.push(`${operation} was left unknown`)
  }
  return wrong
}
