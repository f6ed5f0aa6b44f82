import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { expect, test, vi } from 'vitest'
import { createBreaker } from '../../src/index.js'
import { eventually, testPool } from '../support/test-pool.js'

const database = useDatabase({ setup: 'create table item (id int)' })

/** What a callback that is async rejects with must not be left to nobody: it would end the process. */
async function warnings(work: (callback: () => Promise<never>) => Promise<unknown>): Promise<string[]> {
  const seen: string[] = []
  const loose: unknown[] = []
  const warned = vi.spyOn(process, 'emitWarning').mockImplementation((error) => void seen.push(String(error)))
  const onLoose = (error: unknown): void => void loose.push(error)
  process.on('unhandledRejection', onLoose)
  try {
    await work(async () => {
      throw new Error('mine')
    })
    await eventually('it was warned of', () => seen.length > 0 || loose.length > 0)
  } finally {
    warned.mockRestore()
    process.off('unhandledRejection', onLoose)
  }
  expect(loose).toEqual([])
  return seen
}

test('onProgress of copyFrom and copyTo may be async, and reject: the copy goes on', async () => {
  const pool = testPool(database.url)
  const from = await warnings(async (onProgress) => {
    await pool.copyFrom({ table: 'item' }, [[1], [2]], { onProgress })
  })
  expect(from.join()).toMatch(/Lifeguard\w+Warning: mine/)
  const lines: string[] = []
  const to = await warnings(async (onProgress) => {
    for await (const chunk of pool.copyTo({ table: 'item' }, { onProgress })) lines.push(String(chunk))
  })
  expect(to.join()).toMatch(/Lifeguard\w+Warning: mine/)
  expect(lines.join('')).toBe('1\n2\n')
})

test('so may onError of an election', async () => {
  const pool = testPool(database.url)
  const seen = await warnings(async (callback) => {
    let failed = false
    const candidacy = pool.elect(
      'leader',
      async () => {
        throw new Error('of the term')
      },
      {
        onError: () => {
          failed = true
          return callback() as never
        },
      },
    )
    await eventually('it failed', () => failed)
    await candidacy.stop()
  })
  expect(seen.join()).toMatch(/Lifeguard\w+Warning: mine/)
})

test('so may the verdict of a breaker', async () => {
  const seen = await warnings(async (verdict) => {
    const breaker = createBreaker({ verdict: verdict as never })
    await expect(breaker.run(() => Promise.reject(new Error('of the call')))).rejects.toThrow('of the call')
  })
  expect(seen.join()).toMatch(/Lifeguard\w+Warning: mine/)
})
