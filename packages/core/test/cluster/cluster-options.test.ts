import { describe, expect, test } from 'vitest'
import { createPool, InvalidArgumentError, type PoolOptions } from '../../src/index.js'
import { resolveOptions } from '../../src/options/pool-options.js'

const primary = 'postgres://app:secret@primary:5433/shop'

function refusal(options: PoolOptions): InvalidArgumentError {
  try {
    createPool({ connectionString: primary, ...options })
  } catch (error) {
    if (error instanceof InvalidArgumentError) return error
    throw error
  }
  throw new Error('was expected to be refused')
}

describe('options of replicas', () => {
  test.each<[string, object]>([
    ['replicas', { replicas: 'postgres://a/b' }],
    ['replicas[0]', { replicas: [7] }],
    ['replicas[0].connectionString', { replicas: ['mysql://app:secret@replica/shop'] }],
    ['replicas[0].connectionString', { replicas: [{ weight: 1 }] }],
    ['replicas[1].weight', { replicas: [primary, { connectionString: primary, weight: 0 }] }],
    ['replicas[0].max', { replicas: [{ connectionString: primary, max: 0 }] }],
    ['replicas[0].min', { replicas: [{ connectionString: primary, max: 2, min: 3 }] }],
    ['replicas[0].wieght', { replicas: [{ connectionString: primary, wieght: 3 }] }],
    ['replicas[0]', { replicas: ['postgres://app:secret@replica/shop?sslmode=perhaps'] }],
    ['targetSessionAttrs', { replicas: [primary], targetSessionAttrs: 'standby' }],
    ['maxLagMs', { maxLagMs: -1 }],
    ['maxLagBytes', { maxLagBytes: 'much' }],
    ['failoverTimeoutMs', { failoverTimeoutMs: Number.NaN }],
    ['causalityWaitMs', { causalityWaitMs: 'soon' }],
    ['readFunctions', { readFunctions: [''] }],
    ['primaryOnly', { primaryOnly: [7] }],
  ])('%s is refused, and no password is shown', (name, options) => {
    const { message } = refusal(options as PoolOptions)
    expect(message).toContain(name)
    expect(message).not.toContain('secret')
  })

  test('a replica is connected to as the primary is, but for what its URL says', () => {
    const { replicas, cluster } = resolveOptions(
      {
        connectionString: `${primary}?sslmode=require`,
        connectTimeoutMs: '3s',
        maxLagMs: '500ms',
        replicas: [
          'postgres://replica/shop',
          { connectionString: 'postgres://reader:other@a:6000,b:6001/copy?sslmode=disable', weight: 2, max: 7 },
        ],
      },
      {},
    )
    expect(cluster).toMatchObject({ maxLagMs: 500, failoverTimeoutMs: 30_000, causalityWaitMs: 100 })
    expect(replicas[0]?.connect).toMatchObject({
      endpoints: [{ host: 'replica', port: 5_432 }],
      user: 'app',
      password: 'secret',
      database: 'shop',
      connectTimeoutMs: 3_000,
    })
    expect(replicas[1]).toMatchObject({ weight: 2, max: 7 })
    expect(replicas[1]?.connect).toMatchObject({
      endpoints: [
        { host: 'a', port: 6_000 },
        { host: 'b', port: 6_001 },
      ],
      user: 'reader',
      password: 'other',
      database: 'copy',
    })
    expect(replicas[0]?.connect.tls).not.toEqual(replicas[1]?.connect.tls)
  })

  test('read() and withCausality() need a function, and bounds that are some', async () => {
    await using pool = createPool({ connectionString: primary })
    await expect(pool.read(7 as never)).rejects.toBeInstanceOf(InvalidArgumentError)
    await expect(pool.withCausality(undefined, 7 as never)).rejects.toBeInstanceOf(InvalidArgumentError)
    await expect(pool.read(async () => 1, { maxLagMs: -1 })).rejects.toBeInstanceOf(InvalidArgumentError)
    await expect(pool.read(async () => 1, { maxLagBytes: Number.NaN })).rejects.toBeInstanceOf(InvalidArgumentError)
    // Without replicas it is the function alone.
    expect(await pool.read(async () => 1)).toBe(1)
    expect(pool.stats().servers).toMatchObject([{ role: 'primary', reads: 0, share: 0, breaker: { state: 'closed' } }])
  })
})
