import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RowStream } from '../../src/query/stream.js'
import { seeded } from '../support/seeded.js'

/** Batches of these sizes, numbered through; says in `log` how it ended. */
async function* batchesOf(
  sizes: readonly number[],
  log: string[] = [],
  failure?: Error,
): AsyncGenerator<number[], void> {
  let n = 0
  try {
    for (const size of sizes) {
      await new Promise((resolve) => setImmediate(resolve))
      yield Array.from({ length: size }, () => n++)
    }
    if (failure !== undefined) throw failure
    log.push('read to its end')
  } finally {
    log.push('freed')
  }
}

async function all(rows: AsyncIterable<number>): Promise<number[]> {
  const read: number[] = []
  for await (const row of rows) read.push(row)
  return read
}

describe('rows out of batches', () => {
  test('are all of them, in their order, whatever the sizes of the batches', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 6 }), async (sizes) => {
        const count = sizes.reduce((sum, size) => sum + size, 0)
        expect(await all(new RowStream(batchesOf(sizes)))).toEqual(Array.from({ length: count }, (_, n) => n))
      }),
      seeded(100),
    )
  })

  test('asked for at the same time come in the order in which they were asked for', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 5 }),
        fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 8 }),
        async (sizes, groups) => {
          const rows = new RowStream(batchesOf(sizes))
          const theirs: unknown[] = []
          for (const group of groups) {
            theirs.push(...(await Promise.all(Array.from({ length: group }, () => rows.next()))))
          }
          const count = sizes.reduce((sum, size) => sum + size, 0)
          expect(theirs).toEqual(
            theirs.map((_, n) => (n < count ? { done: false, value: n } : { done: true, value: undefined })),
          )
        },
      ),
      seeded(200),
    )
  })

  test('left early free what the batches hold, once, and give nothing more', async () => {
    const log: string[] = []
    const rows = new RowStream(batchesOf([3, 3], log))
    for await (const row of rows) if (row === 1) break
    expect(log).toEqual(['freed'])
    expect(await rows.next()).toEqual({ done: true, value: undefined })
    expect(log).toEqual(['freed'])
  })

  test('left while a row is being fetched are freed behind it', async () => {
    const log: string[] = []
    const rows = new RowStream(batchesOf([1, 1], log))
    const [first, left] = await Promise.all([rows.next(), rows.return()])
    expect([first, left]).toEqual([
      { done: false, value: 0 },
      { done: true, value: undefined },
    ])
    expect(log).toEqual(['freed'])
  })

  test('of `await using` are freed at the end of the block', async () => {
    const log: string[] = []
    {
      await using rows = new RowStream(batchesOf([2], log))
      expect(await rows.next()).toEqual({ done: false, value: 0 })
    }
    expect(log).toEqual(['freed'])
  })

  test('a failure is told to the one who asked, and ends them', async () => {
    const failure = new Error('the server is gone')
    const rows = new RowStream(batchesOf([1], [], failure))
    const answers = await Promise.allSettled([rows.next(), rows.next(), rows.next()])
    expect(answers).toEqual([
      { status: 'fulfilled', value: { done: false, value: 0 } },
      { status: 'rejected', reason: failure },
      { status: 'fulfilled', value: { done: true, value: undefined } },
    ])
  })

  test('an error thrown into them reaches the batches', async () => {
    const log: string[] = []
    const rows = new RowStream(batchesOf([2], log))
    await rows.next()
    const failure = new Error('enough')
    await expect(rows.throw(failure)).rejects.toBe(failure)
    expect(log).toEqual(['freed'])
  })
})
