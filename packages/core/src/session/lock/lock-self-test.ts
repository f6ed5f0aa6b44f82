import { randomBytes } from 'node:crypto'
import type { Limit } from '../../base/limit.js'
import { LockUnsupportedError } from '../../errors/lock-errors.js'
import type { ConnectionSlot, Host } from '../../host/host.js'
import type { Holder } from '../../pool/waiter.js'
import { Statement } from '../../wire/statement.js'

/**
 * Whether session locks mean anything on this way to the server: one session takes a random lock, and another one must
 * not get it. Behind a transaction pooler both may be the same session; and there are servers whose lock functions do
 * nothing and say yes.
 *
 * @throws LockUnsupportedError
 */
export async function testSessionLocks(
  host: Host,
  max: number,
  limit: Limit,
  around: Holder | undefined,
): Promise<void> {
  const { pool } = host
  const values = [String(randomBytes(8).readBigInt64BE(0))]
  const holder: Holder = { held: 0, parent: around }
  const ask = async (slot: ConnectionSlot, text: string): Promise<Record<string, unknown>> => {
    const { rows } = await slot.resource.run(new Statement({ text, values }), limit)
    return rows[0] ?? {}
  }
  const first = pool.tryAcquire() ?? (await pool.acquire(limit, holder))
  holder.held = 1
  try {
    const { pid, got } = await ask(first, 'select pg_backend_pid() as pid, pg_try_advisory_lock($1::bigint) as got')
    if (got !== true) throw new LockUnsupportedError('a lock that nobody holds was refused')
    // Where there is no place for a second connection now, that the first one stays itself is the next best sign.
    const second = pool.tryAcquire() ?? (pool.total < max ? await pool.acquire(limit, holder) : undefined)
    try {
      const again =
        second === undefined ? undefined : await ask(second, 'select pg_try_advisory_lock($1::bigint) as got')
      if (again?.['got'] === true) throw new LockUnsupportedError('two connections got the same exclusive lock')
    } finally {
      if (second !== undefined) host.release(second)
    }
    const end = await ask(first, 'select pg_backend_pid() as pid, pg_advisory_unlock($1::bigint) as held')
    if (end['pid'] !== pid) throw new LockUnsupportedError('two statements of one connection ran in two sessions')
    if (end['held'] !== true) throw new LockUnsupportedError('a lock was gone although its session was not')
  } catch (error) {
    first.resource.destroy()
    throw error
  } finally {
    host.release(first)
  }
}
