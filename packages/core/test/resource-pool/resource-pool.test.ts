import { describe, expect, test } from 'vitest'
import {
  AcquireTimeoutError,
  PoolClosedError,
  QueueFullError,
  SelfDeadlockError,
  ServerUnavailableError,
} from '../../src/errors/pool-errors.js'
import { refusalKind } from '../../src/server/metrics.js'
import { TickingClock } from '../support/fake-clock.js'
import { HopelessError } from '../support/fake-factory.js'
import { type Caller, held, PoolBench, the } from '../support/new-pool.js'

const refused = new Error('connect ECONNREFUSED')

describe('callers', () => {
  test('are served first come, first served', async () => {
    const bench = new PoolBench({ max: 1 })
    const slot = await bench.take()
    const callers = [bench.ask(), bench.ask(), bench.ask()]
    const order: number[] = []
    for (const [index, caller] of callers.entries()) void caller.promise.then(() => order.push(index))
    bench.pool.release(slot)
    for (const caller of callers) {
      await bench.clock.advance(1)
      bench.pool.release(held(caller))
    }
    expect(order).toEqual([0, 1, 2])
  })

  test('who come later do not overtake those who wait', async () => {
    const bench = new PoolBench({ max: 1 })
    const slot = await bench.take()
    const waiting = bench.ask()
    bench.pool.release(slot)
    expect(bench.pool.tryAcquire()).toBeUndefined()
    const late = bench.ask()
    await bench.clock.advance(0)
    expect([waiting.outcome, late.outcome]).toEqual(['served', 'waiting'])
  })

  test('get the connection that was used last', async () => {
    const bench = new PoolBench({ max: 3 })
    const slots = await bench.takeAll(3)
    for (const slot of slots) bench.pool.release(slot)
    expect((await bench.take()).resource.id).toBe(3)
    expect((await bench.take()).resource.id).toBe(2)
    expect(bench.pool.tryAcquire()?.resource.id).toBe(1)
  })

  test('open no more connections than there are callers, and never more than max', async () => {
    const bench = new PoolBench({ max: 4 }, (factory) => {
      factory.open_ = 'manual'
    })
    const callers = [bench.ask(), bench.ask()]
    expect(bench.factory.attempts).toBe(2)
    for (let more = 0; more < 10; more++) callers.push(bench.ask())
    expect(bench.factory.attempts).toBe(4)
    for (const open of [...bench.factory.opens]) open.answer()
    await bench.clock.advance(0)
    expect(callers.filter(({ outcome }) => outcome === 'served')).toHaveLength(4)
    expect(bench.factory.mostAlive).toBe(4)
  })

  test('have one deadline for queue, connect and check together', async () => {
    const bench = new PoolBench({ max: 1, acquireTimeoutMs: 1_000, validateAfterIdleMs: 10 })
    const slot = await bench.take()
    const caller = bench.ask()
    await bench.clock.advance(600)
    bench.factory.open_ = 'manual'
    bench.pool.destroy(slot)
    await bench.clock.advance(399)
    expect([caller.outcome, bench.pool.connecting]).toEqual(['waiting', 1])
    await bench.clock.advance(1)
    expect(caller.error).toMatchObject({ waitedMs: 1_000 })
    expect(bench.clock.foregroundTimers).toBe(0)
  })

  test('can only shorten the deadline of the pool', async () => {
    const bench = new PoolBench({ max: 1, acquireTimeoutMs: 1_000 })
    await bench.take()
    const [short, long] = [bench.ask({ timeoutMs: 50 }), bench.ask({ timeoutMs: 60_000 })]
    await bench.clock.advance(50)
    expect(short.error).toBeInstanceOf(AcquireTimeoutError)
    expect(short.error).toMatchObject({ waitedMs: 50 })
    await bench.clock.advance(950)
    expect(long.error).toMatchObject({ waitedMs: 1_000 })
  })

  test('who have no time left are refused at once, and open nothing', async () => {
    const bench = new PoolBench()
    await expect(bench.ask({ timeoutMs: 0 }).promise).rejects.toMatchObject({
      code: 'LIFEGUARD_TIMEOUT',
      outcome: 'not-sent',
    })
    await expect(bench.ask({ signal: AbortSignal.abort('before') }).promise).rejects.toMatchObject({
      code: 'LIFEGUARD_ABORTED',
      cause: 'before',
    })
    expect(bench.factory.attempts).toBe(0)
  })

  test('who give up do not cancel the connection that is being opened: it lands idle', async () => {
    const bench = new PoolBench({ max: 2, acquireTimeoutMs: 100 }, (factory) => {
      factory.open_ = 'manual'
    })
    const caller = bench.ask()
    await bench.clock.advance(100)
    expect(caller.outcome).toBe('refused')
    the(bench.factory.opens[0]).answer()
    await bench.clock.advance(0)
    expect(bench.state()).toEqual({ active: 0, idle: 1, total: 1, connecting: 0, waiting: 0 })
    expect((await bench.take()).resource.id).toBe(1)
    expect(bench.factory.attempts).toBe(1)
  })

  test('who abort leave the queue, and those behind them move up', async () => {
    const bench = new PoolBench({ max: 1, maxWaiting: 2 })
    const slot = await bench.take()
    const controller = new AbortController()
    const [first, second] = [bench.ask({ signal: controller.signal }), bench.ask()]
    controller.abort('enough')
    expect(bench.pool.waiting).toBe(1)
    const third = bench.ask() // the place in the queue is free again
    await bench.clock.advance(0)
    expect(first.error).toMatchObject({ code: 'LIFEGUARD_ABORTED', outcome: 'not-sent', cause: 'enough' })
    bench.pool.release(slot)
    await bench.clock.advance(0)
    expect([second.outcome, third.outcome]).toEqual(['served', 'waiting'])
  })

  test('who were served are not hurt by their signal or deadline later', async () => {
    const bench = new PoolBench()
    const controller = new AbortController()
    const caller = bench.ask({ signal: controller.signal, timeoutMs: 10 })
    await bench.clock.advance(0)
    controller.abort()
    await bench.clock.advance(100)
    expect([caller.outcome, caller.settled]).toEqual(['served', 1])
    expect(bench.pool.active).toBe(1)
  })
})

describe('the bound on waiting callers', () => {
  test('turns one more away at once, with figures', async () => {
    const bench = new PoolBench({ max: 1, maxWaiting: 2 })
    await bench.take()
    bench.ask()
    bench.ask()
    await bench.clock.advance(5)
    const { promise } = bench.ask()
    await expect(promise).rejects.toBeInstanceOf(QueueFullError)
    await expect(promise).rejects.toMatchObject({ figures: { active: 1, max: 1, waiting: 2, longestHeldMs: 5 } })
    await expect(promise).rejects.toThrow('2 callers already wait')
  })

  test('does not count callers for whom a connection is being opened', async () => {
    const bench = new PoolBench({ max: 4, maxWaiting: 1 }, (factory) => {
      factory.open_ = 'manual'
    })
    const callers = Array.from({ length: 6 }, () => bench.ask())
    await bench.clock.advance(0)
    expect(callers.map(({ outcome }) => outcome)).toEqual([
      'waiting',
      'waiting',
      'waiting',
      'waiting',
      'waiting',
      'refused',
    ])
    expect(callers[5]?.error).toBeInstanceOf(QueueFullError)
  })

  test('of 0 means: a free connection or none, not a pool that never opens one', async () => {
    const bench = new PoolBench({ max: 2, maxWaiting: 0 })
    const [slot] = await bench.takeAll(2)
    await expect(bench.ask().promise).rejects.toBeInstanceOf(QueueFullError)
    bench.pool.release(the(slot))
    await bench.clock.advance(10_000) // idle for so long that it is checked first
    expect((await bench.take()).resource.id).toBe(1)
    expect(bench.factory.checked).toBe(1)
  })
})

describe('connections kept warm', () => {
  test('are opened in parallel as soon as there is a pool', () => {
    const bench = new PoolBench({ max: 10, min: 4 }, (factory) => {
      factory.open_ = 'manual'
    })
    expect(bench.factory.opens).toHaveLength(4)
  })

  test('are refilled when one is lost, discarded or worn out', async () => {
    const bench = new PoolBench({ max: 4, min: 2, maxUses: 2 })
    await bench.clock.advance(0)
    expect(bench.state()).toMatchObject({ idle: 2, total: 2 })
    const [first] = bench.factory.all
    the(first).alive = false
    bench.pool.lost(the(first))
    await bench.clock.advance(0)
    expect(bench.state()).toMatchObject({ idle: 2, total: 2 })
    bench.pool.destroy(await bench.take())
    await bench.clock.advance(0)
    expect(bench.state()).toMatchObject({ idle: 2, total: 2 })
    bench.pool.release(await bench.take())
    bench.pool.release(await bench.take())
    await bench.clock.advance(0)
    expect(bench.state()).toMatchObject({ idle: 2, total: 2 })
    expect(bench.pool.counts).toMatchObject({ opened: 5, closed: 3 })
  })

  test('are tried again in the background, one at a time, while the server is down', async () => {
    const bench = new PoolBench({ max: 4, min: 3 }, (factory) => {
      factory.failWith = refused
    })
    await bench.clock.advance(999)
    expect(bench.factory.attempts).toBe(14)
    expect(bench.clock.foregroundTimers).toBe(0)
    bench.factory.failWith = undefined
    await bench.clock.advance(200)
    expect(bench.state()).toMatchObject({ idle: 3, total: 3 })
  })

  test('are not tried again by themselves when the server will never let this user in', async () => {
    const bench = new PoolBench({ max: 4, min: 3 }, (factory) => {
      factory.failWith = new HopelessError('password authentication failed')
    })
    await bench.clock.advance(60_000)
    expect(bench.factory.attempts).toBe(3)
    bench.factory.failWith = undefined
    const caller = bench.ask()
    await bench.clock.advance(200)
    expect(caller.outcome).toBe('served')
    expect(bench.pool.total).toBe(3)
  })
})

describe('an idle connection', () => {
  test('is closed after its time, but only above min', async () => {
    const bench = new PoolBench({ max: 5, min: 2, idleTimeoutMs: 10_000 })
    for (const slot of await bench.takeAll(5)) bench.pool.release(slot)
    await bench.clock.advance(9_000)
    expect(bench.pool.idle).toBe(5)
    await bench.clock.advance(2_000)
    expect(bench.state()).toMatchObject({ idle: 2, total: 2 })
    await bench.clock.advance(100_000)
    expect(bench.pool.counts).toMatchObject({ opened: 5, closed: 3 })
  })

  test.each([10, 900, 10_000])('is closed when its time of %i ms is over, whenever it began', async (idleTimeoutMs) => {
    const bench = new PoolBench({ max: 5, idleTimeoutMs })
    const began: number[] = []
    for (const slot of await bench.takeAll(5)) {
      bench.pool.release(slot)
      began.push(bench.clock.now())
      await bench.clock.advance(idleTimeoutMs * 0.19)
    }
    for (const [index, since] of began.entries()) {
      await bench.clock.advance(since + idleTimeoutMs - 0.5 - bench.clock.now())
      expect(bench.pool.idle).toBe(5 - index)
      await bench.clock.advance(1.5)
      expect(bench.pool.idle).toBe(4 - index)
    }
  })

  test('is the one used longest ago that is closed', async () => {
    const bench = new PoolBench({ max: 3, idleTimeoutMs: 5_000 })
    for (const slot of await bench.takeAll(3)) bench.pool.release(slot)
    for (let second = 0; second < 10; second++) {
      bench.pool.release(await bench.take())
      await bench.clock.advance(1_000)
    }
    expect(bench.factory.all.filter(({ gone }) => !gone).map(({ id }) => id)).toEqual([3])
  })

  test('is not closed below min because another one is just being closed', async () => {
    const bench = new PoolBench({ max: 3, min: 2, idleTimeoutMs: 10_000, maxUses: 5 }, (factory) => {
      factory.close_ = 'manual'
    })
    const slots = await bench.takeAll(3)
    for (const slot of slots) bench.pool.release(slot)
    await bench.clock.advance(9_500)
    for (let use = 0; use < 4; use++) bench.pool.release(await bench.take()) // the third one is worn out, and is closing
    expect(bench.factory.closes).toHaveLength(1)
    await bench.clock.advance(2_000)
    expect(bench.pool.idle).toBe(2)
  })

  test('that is kept for ever stays for ever', async () => {
    const bench = new PoolBench({
      idleTimeoutMs: Number.POSITIVE_INFINITY,
      maxLifetimeMs: Number.POSITIVE_INFINITY,
    })
    bench.pool.release(await bench.take())
    await bench.clock.advance(10_000_000)
    expect(bench.pool.idle).toBe(1)
  })

  test('that ends by itself is dropped at once, and its place is free when it is gone', async () => {
    const bench = new PoolBench({ max: 1 })
    const slot = await bench.take()
    bench.pool.release(slot)
    slot.resource.alive = false
    bench.pool.lost(slot.resource)
    expect(bench.state()).toMatchObject({ idle: 0, total: 1 })
    await bench.clock.advance(0)
    expect(bench.pool.total).toBe(0)
    expect((await bench.take()).resource.id).toBe(2)
  })

  test('that is dead is never handed out, though nobody told the pool', async () => {
    const bench = new PoolBench({ max: 2 })
    const slot = await bench.take()
    bench.pool.release(slot)
    slot.resource.alive = false
    expect(bench.pool.tryAcquire()).toBeUndefined()
    expect((await bench.take()).resource.id).toBe(2)
  })
})

describe('a life', () => {
  test('ends at its time give or take a tenth, and not all at once', async () => {
    const chances = [0, 0.5, 1 - Number.EPSILON]
    const bench = new PoolBench(
      { max: 3, maxLifetimeMs: 100_000, idleTimeoutMs: Number.POSITIVE_INFINITY },
      undefined,
      () => chances.shift() ?? 0.5,
    )
    for (const slot of await bench.takeAll(3)) bench.pool.release(slot)
    const left: number[] = []
    for (const ms of [89_000, 2_000, 8_000, 2_000, 8_000, 2_000]) {
      await bench.clock.advance(ms)
      left.push(bench.pool.total)
    }
    expect(left).toEqual([3, 2, 2, 1, 1, 0])
  })

  test('never ends while the connection is in use, but as soon as it comes back', async () => {
    const bench = new PoolBench({ max: 1, maxLifetimeMs: 1_000 })
    const slot = await bench.take()
    await bench.clock.advance(100_000)
    expect(slot.resource.gone).toBe(false)
    const next = bench.ask()
    bench.pool.release(slot)
    await bench.clock.advance(0)
    expect(slot.resource.gone).toBe(true)
    expect(held(next).resource.id).toBe(2)
  })

  test('ends after so many uses', async () => {
    const bench = new PoolBench({ max: 1, maxUses: 3 })
    const ids: number[] = []
    for (let use = 0; use < 7; use++) {
      const slot = await bench.take()
      ids.push(slot.resource.id)
      bench.pool.release(slot)
    }
    expect(ids).toEqual([1, 1, 1, 2, 2, 2, 3])
  })

  test('that is over frees its place only when the connection is gone', async () => {
    const bench = new PoolBench({ max: 1, maxUses: 1 }, (factory) => {
      factory.close_ = 'manual'
    })
    bench.pool.release(await bench.take())
    const next = bench.ask()
    await bench.clock.advance(10)
    expect([next.outcome, bench.factory.attempts]).toEqual(['waiting', 1])
    the(bench.factory.closes[0]).answer()
    await bench.clock.advance(0)
    expect(next.outcome).toBe('served')
    expect(bench.factory.mostAlive).toBe(1)
  })
})

describe('the sign of life', () => {
  test('is asked for only behind a longer idleness', async () => {
    const bench = new PoolBench({ max: 1, validateAfterIdleMs: 500 })
    bench.pool.release(await bench.take())
    await bench.clock.advance(500)
    bench.pool.release(await bench.take())
    expect(bench.factory.checked).toBe(0)
    await bench.clock.advance(501)
    expect(bench.pool.tryAcquire()).toBeUndefined()
    await bench.take()
    expect(bench.factory.checked).toBe(1)
  })

  test('that does not come leads to the next connection, and then to a new one, within the same deadline', async () => {
    const bench = new PoolBench({ max: 3, acquireTimeoutMs: 1_000 }, (factory) => {
      factory.check_ = 'manual'
    })
    for (const slot of await bench.takeAll(2)) bench.pool.release(slot)
    await bench.clock.advance(1_000)
    const caller = bench.ask()
    for (const id of [2, 1]) {
      await bench.clock.advance(300)
      expect(bench.factory.checks.map(({ resource }) => resource?.id)).toEqual([id])
      the(bench.factory.checks[0]).answer(false)
    }
    await bench.clock.advance(0)
    expect(held(caller).resource.id).toBe(3)
    expect(bench.pool.counts.failedValidation).toBe(2)
    expect(bench.factory.all.map(({ destroyed }) => destroyed)).toEqual([1, 1, 0])
  })

  test('that comes too late is not lost: the connection lands idle', async () => {
    const bench = new PoolBench({ max: 1, acquireTimeoutMs: 200 }, (factory) => {
      factory.check_ = 'manual'
    })
    bench.pool.release(await bench.take())
    await bench.clock.advance(1_000)
    const caller = bench.ask()
    await bench.clock.advance(200)
    expect(caller.error).toBeInstanceOf(AcquireTimeoutError)
    the(bench.factory.checks[0]).answer(true)
    await bench.clock.advance(0)
    expect(bench.state()).toMatchObject({ idle: 1, active: 0, waiting: 0 })
  })

  test('is not waited for when another connection comes back meanwhile', async () => {
    const bench = new PoolBench({ max: 2 }, (factory) => {
      factory.check_ = 'manual'
    })
    const [busy, idle] = await bench.takeAll(2)
    bench.pool.release(the(idle))
    await bench.clock.advance(1_000)
    const caller = bench.ask()
    expect(bench.factory.checks).toHaveLength(1)
    bench.pool.release(the(busy))
    await bench.clock.advance(0)
    expect(held(caller).resource.id).toBe(1)
    the(bench.factory.checks[0]).answer(true)
    await bench.clock.advance(0)
    expect(bench.state()).toMatchObject({ active: 1, idle: 1 })
  })

  test('is asked for once even where every idleness is too long', async () => {
    const bench = new PoolBench({ max: 1, validateAfterIdleMs: 0 }, undefined, undefined, new TickingClock())
    const slot = await bench.take()
    const next = bench.ask()
    bench.pool.release(slot) // straight to the next one: it was alive a moment ago
    await bench.clock.advance(0)
    expect([next.outcome, bench.factory.checked]).toEqual(['served', 0])
    bench.pool.release(held(next))
    await bench.take()
    expect(bench.factory.checked).toBe(1)
  })
})

describe('a failure to connect', () => {
  test('that waiting cannot cure rejects all who wait, at once and with that very error', async () => {
    const error = new HopelessError('password authentication failed for user "app"')
    const bench = new PoolBench({ max: 5 }, (factory) => {
      factory.open_ = 'manual'
    })
    const callers = Array.from({ length: 8 }, () => bench.ask())
    the(bench.factory.opens[0]).fail(error)
    await bench.clock.advance(0)
    for (const caller of callers) expect(caller.error).toBe(error)
    expect(bench.clock.foregroundTimers).toBe(0)
  })

  test('is tried again until the deadline, which a short outage survives', async () => {
    const bench = new PoolBench({ max: 5 }, (factory) => {
      factory.failWith = refused
    })
    const callers = Array.from({ length: 8 }, () => bench.ask())
    await bench.clock.advance(2_000)
    expect(bench.factory.attempts).toBeLessThanOrEqual(2 * 15)
    bench.factory.failWith = undefined
    await bench.clock.advance(1_000)
    expect(callers.filter(({ outcome }) => outcome === 'served')).toHaveLength(5)
  })

  test('until the deadline is the server, not the pool: with the last error as cause', async () => {
    const bench = new PoolBench({ acquireTimeoutMs: 1_000 }, (factory) => {
      factory.failWith = refused
    })
    const caller = bench.ask()
    await bench.clock.advance(1_000)
    expect(caller.error).toBeInstanceOf(ServerUnavailableError)
    expect(caller.error).toMatchObject({ cause: refused, waitedMs: 1_000, figures: { active: 0, waiting: 0 } })
    expect(String(caller.error)).toMatch(/cannot connect to fake:5432: connect ECONNREFUSED \(\d+ failed attempt/)
  })

  test('that has not even come is the server too: nothing is busy when nothing is open', async () => {
    const bench = new PoolBench({ acquireTimeoutMs: 1_000 }, (factory) => {
      factory.open_ = 'manual'
    })
    const caller = bench.ask()
    await bench.clock.advance(1_000)
    expect(caller.error).toBeInstanceOf(ServerUnavailableError)
    expect(String(caller.error)).toContain('no answer yet')
  })

  test('while connections are in use leaves the pool busy, and is told as the cause', async () => {
    const bench = new PoolBench({ max: 2, acquireTimeoutMs: 1_000 })
    await bench.take()
    bench.factory.failWith = refused
    const caller = bench.ask()
    await bench.clock.advance(1_000)
    expect(caller.error).toBeInstanceOf(AcquireTimeoutError)
    expect(caller.error).toMatchObject({ cause: refused })
  })

  test('is made by one prober at a time, however many wait', async () => {
    const bench = new PoolBench({ max: 10 }, (factory) => {
      factory.failWith = refused
    })
    bench.ask()
    await bench.clock.advance(50)
    bench.factory.open_ = 'manual'
    for (let more = 0; more < 20; more++) bench.ask()
    await bench.clock.advance(800)
    expect(bench.pool.connecting).toBe(1)
    the(bench.factory.opens[0]).answer()
    await bench.clock.advance(0)
    expect(bench.pool.connecting).toBe(2)
    for (const open of [...bench.factory.opens]) open.answer()
    await bench.clock.advance(0)
    expect(bench.pool.connecting).toBe(7)
  })

  test('keeps the process alive for a caller without any deadline, although min probed in the background before', async () => {
    const limits = { min: 1, acquireTimeoutMs: Number.POSITIVE_INFINITY, overload: false } as const
    const bench = new PoolBench(limits, (factory) => {
      factory.failWith = refused
    })
    await bench.clock.advance(10)
    expect(bench.clock.foregroundTimers).toBe(0)
    bench.ask()
    expect(bench.clock.foregroundTimers).toBe(1)
  })
})

test('a timeout of a busy pool says how busy it is, and for how long', async () => {
  const bench = new PoolBench({ max: 2, acquireTimeoutMs: 1_000 })
  await bench.take()
  await bench.clock.advance(500)
  await bench.take()
  const caller = bench.ask()
  await bench.clock.advance(999)
  bench.ask()
  expect(bench.pool.longestWaitMs).toBe(999)
  await bench.clock.advance(1)
  expect(caller.error).toBeInstanceOf(AcquireTimeoutError)
  expect(caller.error).toMatchObject({
    waitedMs: 1_000,
    figures: {
      active: 2,
      idle: 0,
      connecting: 0,
      max: 2,
      waiting: 1,
      longestHeldMs: 1_500,
      longestHolderStack: undefined,
    },
  })
  expect(String(caller.error)).toContain('2/2 busy, 1 waiting, longest holder 1500 ms')
  expect((caller.error as Error).cause).toBeUndefined()
})

describe('a self-deadlock', () => {
  test('of one holder over the whole pool is named at once', async () => {
    const bench = new PoolBench({ max: 1 })
    await bench.take()
    const { promise } = bench.ask({ holder: { held: 1 } })
    await expect(promise).rejects.toBeInstanceOf(SelfDeadlockError)
    await expect(promise).rejects.toMatchObject({ figures: { active: 1, max: 1 } })
  })

  test('is named when the last connection is held by a holder that waits, and not before', async () => {
    const bench = new PoolBench({ max: 3 })
    const slots = await bench.takeAll(3)
    const holders = slots.map(() => ({ held: 1 }))
    const callers = holders.map((holder) => bench.ask({ holder }))
    await bench.clock.advance(0)
    expect(callers.map(({ outcome }) => outcome)).toEqual(['waiting', 'waiting', 'refused'])
    expect(callers[2]?.error).toBeInstanceOf(SelfDeadlockError)
    // The one that was refused gives its connection back, and so the others go on.
    bench.pool.release(the(slots[2]))
    await bench.clock.advance(0)
    expect(callers.map(({ outcome }) => outcome)).toEqual(['served', 'waiting', 'refused'])
  })

  test('is none while one connection is with somebody who does not wait', async () => {
    const bench = new PoolBench({ max: 3, acquireTimeoutMs: 1_000 })
    await bench.takeAll(3)
    const callers = [bench.ask({ holder: { held: 1 } }), bench.ask({ holder: { held: 1 } }), bench.ask()]
    await bench.clock.advance(0)
    expect(callers.map(({ outcome }) => outcome)).toEqual(['waiting', 'waiting', 'waiting'])
    await bench.clock.advance(1_000)
    expect(callers[0]?.error).toBeInstanceOf(AcquireTimeoutError)
    expect(String(callers[0]?.error)).toContain('the caller itself holds 1 connection(s)')
    expect(String(callers[2]?.error)).not.toContain('the caller itself')
  })

  test('is none while a connection is idle or may still be opened', async () => {
    const bench = new PoolBench({ max: 2 })
    await bench.take()
    const holder = { held: 1 }
    const caller = bench.ask({ holder })
    await bench.clock.advance(0)
    expect(caller.outcome).toBe('served')
  })

  test('counts a holder once, however often it waits', async () => {
    const bench = new PoolBench({ max: 2 })
    await bench.takeAll(2)
    const holder = { held: 1 }
    const callers = [bench.ask({ holder }), bench.ask({ holder }), bench.ask({ holder })]
    await bench.clock.advance(0)
    expect(callers.map(({ outcome }) => outcome)).toEqual(['waiting', 'waiting', 'waiting'])
  })
})

describe('flush gracefully', () => {
  test('closes what is idle now, and what is in use when it comes back', async () => {
    const bench = new PoolBench({ max: 3 })
    const [one, two, three] = await bench.takeAll(3)
    bench.pool.release(the(one))
    void bench.pool.evict('graceful')
    await bench.clock.advance(0)
    expect([one, two, three].map((slot) => slot?.resource.gone)).toEqual([true, false, false])
    bench.pool.release(the(two))
    await bench.clock.advance(0)
    expect([two, three].map((slot) => slot?.resource.gone)).toEqual([true, false])
    expect((await bench.take()).resource.id).toBe(4)
  })

  test('refills min with new ones', async () => {
    const bench = new PoolBench({ max: 3, min: 2 })
    await bench.clock.advance(0)
    void bench.pool.evict('graceful')
    await bench.clock.advance(0)
    expect(bench.factory.all.filter(({ gone }) => !gone).map(({ id }) => id)).toEqual([3, 4])
  })

  test('holds for a connection whose opening or check was under way', async () => {
    const bench = new PoolBench({ max: 1 }, (factory) => {
      factory.open_ = 'manual'
      factory.check_ = 'manual'
    })
    const caller = bench.ask()
    void bench.pool.evict('graceful')
    the(bench.factory.opens[0]).answer()
    await bench.clock.advance(0)
    expect(bench.factory.all[0]?.gone).toBe(true)
    the(bench.factory.opens[0]).answer()
    await bench.clock.advance(0)
    bench.pool.release(held(caller))
    await bench.clock.advance(1_000)
    bench.ask()
    void bench.pool.evict('graceful')
    the(bench.factory.checks[0]).answer(true)
    await bench.clock.advance(0)
    expect(bench.factory.all.map(({ gone }) => gone)).toEqual([true, true])
  })
})

describe('the end', () => {
  test('serves those who wait, takes nobody new, and settles when all are gone', async () => {
    const bench = new PoolBench({ max: 1, min: 1 }, (factory) => {
      factory.close_ = 'manual'
    })
    const slot = await bench.take()
    const waiting = bench.ask()
    let ended = false
    const end = bench.pool.end().then(() => {
      ended = true
    })
    await expect(bench.ask().promise).rejects.toBeInstanceOf(PoolClosedError)
    expect(bench.pool.tryAcquire()).toBeUndefined()
    bench.pool.release(slot)
    await bench.clock.advance(0)
    expect([waiting.outcome, ended]).toEqual(['served', false])
    bench.pool.release(held(waiting))
    await bench.clock.advance(100)
    expect(ended).toBe(false)
    the(bench.factory.closes[0]).answer()
    await end
    expect(bench.factory.alive).toBe(0)
    expect(bench.clock.timers).toBe(0)
    expect(bench.pool.isEnding).toBe(true)
  })

  test('of a pool that was never used is at once, and may be asked for again and again', async () => {
    const bench = new PoolBench()
    await Promise.all([bench.pool.end(), bench.pool.end()])
    await bench.pool.end()
    bench.pool.endNow()
    await bench.pool.end()
    expect(bench.clock.timers).toBe(0)
  })

  test('waits for a connection that is still being opened', async () => {
    const bench = new PoolBench({ min: 1 }, (factory) => {
      factory.open_ = 'manual'
    })
    let ended = false
    const end = bench.pool.end().then(() => {
      ended = true
    })
    await bench.clock.advance(0)
    expect(ended).toBe(false)
    the(bench.factory.opens[0]).answer()
    await end
    expect(bench.factory.alive).toBe(0)
  })

  test('while the server is down waits for those who wait, no longer', async () => {
    const bench = new PoolBench({ min: 1, acquireTimeoutMs: 1_000 }, (factory) => {
      factory.failWith = refused
    })
    const caller = bench.ask()
    await bench.clock.advance(0)
    const end = bench.pool.end()
    await bench.clock.advance(1_000)
    expect(caller.error).toBeInstanceOf(ServerUnavailableError)
    await end
    expect(bench.clock.timers).toBe(0)
  })

  test('now rejects those who wait and tears down what is in use', async () => {
    const bench = new PoolBench({ max: 2 })
    const slots = await bench.takeAll(2)
    const callers = [bench.ask(), bench.ask()]
    const end = bench.pool.end()
    bench.pool.endNow()
    await end
    for (const { error } of callers) expect(error).toBeInstanceOf(PoolClosedError)
    expect(slots.map(({ resource }) => resource.destroyed)).toEqual([1, 1])
    expect(bench.clock.timers).toBe(0)
  })

  test('now does not wait for a holder who never gives back, nor mind one who does', async () => {
    const bench = new PoolBench({ max: 2, leakDetectionMs: 10 })
    const [one, two] = await bench.takeAll(2)
    await bench.clock.advance(20)
    const end = bench.pool.end()
    bench.pool.endNow()
    await end
    bench.pool.release(the(one))
    bench.pool.destroy(the(two))
    await bench.clock.advance(0)
    expect(bench.state()).toEqual({ active: 0, idle: 0, total: 0, connecting: 0, waiting: 0 })
    expect(bench.pool.counts).toMatchObject({ opened: 2, closed: 2, acquired: 2, released: 2 })
    expect(bench.factory.leaks.map(({ returned }) => returned)).toEqual([false, false])
  })
})

describe('giving back', () => {
  test('twice changes nothing', async () => {
    const bench = new PoolBench({ max: 2 })
    const slot = await bench.take()
    bench.pool.release(slot)
    bench.pool.release(slot)
    bench.pool.destroy(slot)
    expect(bench.state()).toEqual({ active: 0, idle: 1, total: 1, connecting: 0, waiting: 0 })
    expect(bench.pool.counts.released).toBe(1)
  })

  test('to be discarded frees the place when it is gone', async () => {
    const bench = new PoolBench({ max: 1 }, (factory) => {
      factory.close_ = 'manual'
    })
    const slot = await bench.take()
    const next = bench.ask()
    bench.pool.destroy(slot)
    await bench.clock.advance(100)
    expect([slot.resource.destroyed, bench.pool.active, bench.pool.total, next.outcome]).toEqual([1, 0, 1, 'waiting'])
    the(bench.factory.closes[0]).answer()
    await bench.clock.advance(0)
    expect(held(next).resource.id).toBe(2)
  })

  test('of one that died in use closes it', async () => {
    const bench = new PoolBench({ max: 1 })
    const slot = await bench.take()
    slot.resource.alive = false
    bench.pool.lost(slot.resource)
    expect(bench.pool.active).toBe(1)
    bench.pool.release(slot)
    await bench.clock.advance(0)
    expect(bench.state()).toMatchObject({ active: 0, idle: 0, total: 0 })
  })
})

test('the counts add up', async () => {
  const bench = new PoolBench({ max: 2, maxWaiting: 2, acquireTimeoutMs: 100, overload: false })
  const callers: Caller[] = []
  const controller = new AbortController()
  for (let index = 0; index < 6; index++) {
    callers.push(bench.ask(index === 2 ? { signal: controller.signal } : undefined))
  }
  controller.abort()
  await bench.clock.advance(100)
  bench.pool.release(held(callers[0]))
  bench.pool.destroy(held(callers[1]))
  bench.factory.failWith = refused
  const last = [bench.ask(), bench.ask()]
  await bench.clock.advance(100)
  expect(last.map(({ outcome }) => outcome)).toEqual(['served', 'refused'])
  const refusals = [...callers, ...last].flatMap(({ outcome, error }) =>
    outcome === 'refused' ? [refusalKind(error)] : [],
  )
  expect(refusals.sort()).toEqual(['givenUp', 'poolBusy', 'poolBusy', 'queueFull', 'queueFull'])
  expect(bench.pool.counts).toEqual({
    opened: 2,
    closed: 1,
    connectFailed: 2,
    acquired: 3,
    released: 2,
    failedValidation: 0,
    leaks: 0,
  })
})
