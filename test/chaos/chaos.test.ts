import { expect, test } from 'vitest'
import { audit, type Reported, type Transfer, total } from './bank.js'
import { runChaos } from './chaos.js'
import { summarise, text } from './report.js'

test('five seconds of kills and cuts leave every account and every answer right', async () => {
  const report = await runChaos(20_260_101, 5)
  const summary = summarise(report)
  console.info(text(summary))
  expect(report.violations).toEqual([])
  for (const reported of Object.values(summary.transfers)) expect(reported['committed']).toBeGreaterThan(20)
  expect(summary.ambiguousCommits['committed']).toBeGreaterThan(0)
  expect(summary.retries['connection']).toBeGreaterThan(0)
  expect(Object.keys(summary.sabotage).length).toBeGreaterThan(3)
})

test('the audit finds what is wrong', () => {
  const transfer = (operation: string, reported: Reported): Transfer => {
    return {
      operation,
      isolation: 'serializable',
      reported,
      error: reported === 'committed' ? undefined : 'Error',
      retries: [],
    }
  }
  const one = new Map([['a', 1]])
  expect(audit(total, one, [transfer('a', 'committed'), transfer('b', 'rolled back')])).toEqual([])
  expect(audit(total - 1, new Map(), [])).toHaveLength(1)
  expect(audit(total, one, [])).toEqual(['a is there, and nobody made it'])
  expect(audit(total, new Map([['a', 2]]), [transfer('a', 'committed')])).toEqual(['a was applied 2 times'])
  expect(audit(total, new Map(), [transfer('a', 'committed')])).toEqual(['a was reported as committed, and is missing'])
  expect(audit(total, one, [transfer('a', 'rolled back')])).toEqual(['a was reported as Error, and is there'])
  expect(audit(total, one, [transfer('a', 'unknown')])).toEqual(['a was left unknown'])
})
