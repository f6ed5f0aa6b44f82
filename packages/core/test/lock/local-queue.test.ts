import { describe, expect, test } from 'vitest'
import { Deadline, noDeadline } from '../../src/deadline/deadline.js'
import { LockQueue } from '../../src/lock/local-queue.js'
import { FakeClock } from '../support/fake-clock.js'

/** A line of callers on one queue, and who of them is in. */
class Line {
  readonly clock = new FakeClock()
  readonly queue = new LockQueue()
  readonly in = new Set<string>()
  readonly entered: string[] = []
  readonly refused: string[] = []
  readonly #leave = new Map<string, () => void>()
  readonly #controllers = new Map<string, AbortController>()

  enter(who: string, key = 'key', timeoutMs?: number): void {
    const controller = new AbortController()
    this.#controllers.set(who, controller)
    const limit = Deadline.of(
      { signal: controller.signal, ...(timeoutMs === undefined ? {} : { timeoutMs }) },
      this.clock,
    )
    this.queue.enter(key, 'exclusive', limit).then(
      (leave) => {
        this.in.add(who)
        this.entered.push(who)
        this.#leave.set(who, leave)
      },
      () => this.refused.push(who),
    )
  }

  async leave(who: string): Promise<void> {
    this.in.delete(who)
    this.#leave.get(who)?.()
    await this.clock.advance(0)
  }

  async abort(who: string): Promise<void> {
    this.#controllers.get(who)?.abort()
    await this.clock.advance(0)
  }
}

describe('the line for one key', () => {
  test('lets one in at a time, in the order of arrival', async () => {
    const line = new Line()
    for (const who of ['a', 'b', 'c', 'd']) line.enter(who)
    await line.clock.advance(0)
    for (const who of ['a', 'b', 'c', 'd']) {
      expect([...line.in]).toEqual([who])
      await line.leave(who)
    }
    expect(line.entered).toEqual(['a', 'b', 'c', 'd'])
  })

  test('does not hold up another key', async () => {
    const line = new Line()
    line.enter('a', 'one')
    line.enter('b', 'two')
    await line.clock.advance(0)
    expect([...line.in]).toEqual(['a', 'b'])
  })

  test('goes on when somebody in the middle gives up, and lets nobody past', async () => {
    const line = new Line()
    for (const who of ['a', 'b', 'c']) line.enter(who)
    await line.abort('b')
    expect([[...line.in], line.refused]).toEqual([['a'], ['b']])
    line.enter('d')
    await line.clock.advance(0)
    expect([...line.in]).toEqual(['a'])
    await line.leave('a')
    expect([...line.in]).toEqual(['c'])
    await line.leave('c')
    expect([...line.in]).toEqual(['d'])
  })

  test('goes on when several give up, by time too', async () => {
    const line = new Line()
    line.enter('a')
    line.enter('b', 'key', 100)
    line.enter('c', 'key', 50)
    line.enter('d')
    await line.clock.advance(100)
    expect(line.refused).toEqual(['c', 'b'])
    expect([...line.in]).toEqual(['a'])
    await line.leave('a')
    expect([...line.in]).toEqual(['d'])
  })

  test('may be left twice by the same one', async () => {
    const line = new Line()
    const leave = await line.queue.enter('key', 'exclusive', noDeadline)
    line.enter('b')
    line.enter('c')
    leave()
    leave()
    await line.clock.advance(0)
    expect([...line.in]).toEqual(['b'])
  })

  test('is forgotten when everybody has left', async () => {
    const line = new Line()
    for (const who of ['a', 'b']) line.enter(who)
    await line.clock.advance(0)
    await line.leave('a')
    await line.leave('b')
    line.enter('c')
    await line.clock.advance(0)
    expect([...line.in]).toEqual(['c'])
    expect(line.clock.timers).toBe(0)
  })
})

test('the last in line giving up lets nobody past the one who holds', async () => {
  const clock = new FakeClock()
  const queue = new LockQueue()
  const leave = await queue.enter('key', 'exclusive', noDeadline)
  const controller = new AbortController()
  const gone = queue.enter('key', 'exclusive', Deadline.of({ signal: controller.signal }, clock))
  controller.abort()
  await expect(gone).rejects.toMatchObject({ code: 'LIFEGUARD_ABORTED' })
  let inside = false
  const next = queue.enter('key', 'exclusive', noDeadline).then(() => {
    inside = true
  })
  await clock.advance(0)
  expect(inside).toBe(false)
  leave()
  await next
  expect(inside).toBe(true)
})

describe('shared turns', () => {
  test('are together, keep an exclusive one out, and do not overtake one that waits', async () => {
    const clock = new FakeClock()
    const queue = new LockQueue()
    const order: string[] = []
    const a = await queue.enter('key', 'shared', noDeadline)
    const b = await queue.enter('key', 'shared', noDeadline)
    const c = queue.enter('key', 'exclusive', noDeadline).then((leave) => {
      order.push('exclusive')
      return leave
    })
    const d = queue.enter('key', 'shared', noDeadline).then((leave) => {
      order.push('shared, later')
      return leave
    })
    a()
    await clock.advance(0)
    expect(order).toEqual([])
    b()
    const leaveC = await c
    await clock.advance(0)
    expect(order).toEqual(['exclusive'])
    leaveC()
    leaveC() // twice is once
    ;(await d)()
    expect(order).toEqual(['exclusive', 'shared, later'])
    expect(queue.tryEnter('key', 'exclusive')).toBeDefined()
  })
})
