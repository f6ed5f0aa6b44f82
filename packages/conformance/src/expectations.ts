import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import type { CaseContext } from './case.js'

/** The error that `promise` rejects with; a value is the failure here. */
export async function rejection(promise: Promise<unknown>): Promise<Error> {
  const [outcome] = await Promise.allSettled([promise])
  if (outcome.status === 'fulfilled') assert.fail(`was to be rejected, and gave ${String(outcome.value)}`)
  // What a case asserts inside of the work that is to fail is its own failure, not the one that was meant.
  if (outcome.reason instanceof assert.AssertionError) throw outcome.reason
  assert.ok(outcome.reason instanceof Error, `rejected with ${String(outcome.reason)}, which is no error`)
  return outcome.reason
}

/** Settles when `condition` holds; how long that takes says nothing, except that it must come. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  timeoutMs = 15_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!(await condition())) {
    if (performance.now() > deadline) assert.fail(`in vain waited ${timeoutMs} ms for ${what}`)
    await delay(5)
  }
}

/** An error and all its causes. */
export function causesOf(error: unknown): readonly unknown[] {
  return error instanceof Error ? [error, ...causesOf(error.cause)] : []
}

/** The stable codes of an error and of all its causes, ORMs' own among them. */
export function codesOf(error: unknown): readonly string[] {
  const codes: string[] = []
  const seen = new Set<unknown>()
  for (let one = error; one instanceof Error && !seen.has(one); one = one.cause) {
    seen.add(one)
    const { code } = one as { readonly code?: unknown }
    if (typeof code === 'string') codes.push(code)
  }
  return codes
}

/** Asserts that an error, or what caused it, has this code of Lifeguard. */
export function assertCode(error: Error, ...allowed: readonly string[]): void {
  const codes = codesOf(error)
  assert.ok(
    codes.some((code) => allowed.includes(code)),
    `${error.name}: ${error.message} has the codes [${codes.join(', ')}], not ${allowed.join(' or ')}`,
  )
}

/** Waits until this text is running on the server. */
export async function untilRunning(context: CaseContext, text: string, count = 1): Promise<void> {
  await until(async () => {
    const running = (await context.sessions()).filter(({ state, query }) => state === 'active' && query.includes(text))
    return running.length >= count
  }, `${count} sessions that run ${text}`)
}

/** Waits until nothing of this case runs on the server, and no connection of its pool is in use. */
export async function untilQuiet(context: CaseContext): Promise<void> {
  await until(async () => {
    const busy = (await context.sessions()).filter(({ state }) => state !== 'idle')
    return busy.length === 0 && context.pool.stats().pool.active === 0
  }, 'the server to have nothing to do')
}

/** How many rows `item` has for everybody else. */
export async function committedItems({ admin }: Pick<CaseContext, 'admin'>): Promise<readonly number[]> {
  const { rows } = await admin.query<{ id: number }>('select id from item order by id')
  return rows.map(({ id }) => id)
}
