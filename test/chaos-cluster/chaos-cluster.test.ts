import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { chaosCluster } from './chaos-cluster.js'
import { table, violations } from './report.js'

test('late, slow and dead replicas, and a dead primary, in small', async () => {
  const result = await chaosCluster({
    seed: 20_260_101,
    pairs: 400,
    statements: 300,
    promotedAfterMs: 500,
    slowSeconds: 1,
    // Node runs TypeScript as it is: only the types are erasable here.
    readerPath: fileURLToPath(new URL('reader.ts', import.meta.url)),
  })
  console.info(table(result))
  // How many reads a replica can serve, and how soon, depends on how busy this machine is: measured by the command.
  expect(violations(result).filter((one) => !/replicas served|had its share again/.test(one))).toEqual([])
}, 180_000)

test('the report says what was broken', () => {
  const result = { seed: 1, stages: [{ stage: 'a', figures: { b: 1, ccc: '2 ms' }, violations: ['d'] }] }
  expect(violations(result)).toEqual(['a: d'])
  expect(table(result)).toBe('seed 1\n\na\n  b    1\n  ccc  2 ms\n\nviolations: 1\n  a: d\n')
})
