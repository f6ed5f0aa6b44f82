import { describe, expect, test } from 'vitest'
import type { FakeSlot } from '../support/new-pool.js'
import { held, PoolBench } from '../support/new-pool.js'

function careless(bench: PoolBench): Promise<FakeSlot> {
  return bench.take()
}

describe('the leak detector', () => {
  test('tells of a connection held for too long, with the stack of who acquired it, and when it comes back', async () => {
    const bench = new PoolBench({ leakDetectionMs: 1_000 })
    const slot = await careless(bench)
    await bench.clock.advance(999)
    expect(bench.factory.leaks).toEqual([])
    await bench.clock.advance(1)
    expect(bench.factory.leaks).toEqual([
      { heldMs: 1_000, acquireStack: expect.stringContaining('careless'), returned: false },
    ])
    expect(bench.factory.leaks[0]?.acquireStack).toMatch(/^\s+at /)
    expect(bench.pool.counts.leaks).toBe(1)
    await bench.clock.advance(500)
    bench.pool.release(slot)
    await bench.clock.advance(0)
    expect(bench.factory.leaks[1]).toEqual({
      heldMs: 1_500,
      acquireStack: expect.stringContaining('careless'),
      returned: true,
    })
    expect(bench.pool.counts.leaks).toBe(1)
  })

  test('knows who acquired it after waiting in the queue too', async () => {
    const bench = new PoolBench({ max: 1, leakDetectionMs: 1_000 })
    const slot = await bench.take()
    function patient(): ReturnType<PoolBench['ask']> {
      return bench.ask()
    }
    const caller = patient()
    await bench.clock.advance(500)
    bench.pool.release(slot)
    await bench.clock.advance(1_000)
    expect(bench.factory.leaks).toEqual([
      { heldMs: 1_000, acquireStack: expect.stringContaining('patient'), returned: false },
    ])
    bench.pool.release(held(caller))
  })

  test('tells once for each time, also when it is discarded', async () => {
    const bench = new PoolBench({ leakDetectionMs: 10 })
    for (let round = 0; round < 3; round++) {
      const slot = await bench.take()
      await bench.clock.advance(50)
      if (round === 2) bench.pool.destroy(slot)
      else bench.pool.release(slot)
      await bench.clock.advance(0)
    }
    expect(bench.factory.leaks.map(({ returned }) => returned)).toEqual([false, true, false, true, false, true])
  })

  test('says nothing of what comes back in time, and leaves no timer', async () => {
    const bench = new PoolBench({ leakDetectionMs: 1_000, idleTimeoutMs: 1 })
    bench.pool.release(await bench.take())
    await bench.clock.advance(5_000)
    expect(bench.factory.leaks).toEqual([])
    expect(bench.clock.timers).toBe(0)
  })

  test('names the longest holder in the timeout of another caller', async () => {
    const bench = new PoolBench({ max: 1, leakDetectionMs: 60_000, acquireTimeoutMs: 100 })
    await careless(bench)
    const caller = bench.ask()
    await bench.clock.advance(100)
    expect(String(caller.error)).toMatch(/it was acquired here:\n.*careless/s)
  })

  test('does not keep the process alive', async () => {
    const bench = new PoolBench({ leakDetectionMs: 1_000 })
    await bench.take()
    expect(bench.clock.foregroundTimers).toBe(0)
  })

  test('while off takes no stack and sets no timer', async () => {
    const bench = new PoolBench()
    const slot = await bench.take()
    expect(slot.acquireStack).toBeUndefined()
    expect(bench.clock.timers).toBe(0)
  })

  test('is told in a turn of its own, so that a listener that throws takes no connection with it', async () => {
    const bench = new PoolBench({ leakDetectionMs: 10 })
    const slot = await bench.take()
    await bench.clock.advance(20)
    const told = bench.factory.leaks.length
    bench.pool.release(slot)
    expect([bench.factory.leaks.length, bench.pool.idle]).toEqual([told, 1])
    await bench.clock.advance(0)
    expect(bench.factory.leaks.length).toBe(told + 1)
  })
})
