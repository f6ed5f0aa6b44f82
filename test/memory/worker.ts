import { createPool, sql } from '@pg-lifeguard/core'

/** What a process of its own is to do, so that its memory is that of this alone. */
export interface Order {
  readonly url: string
  readonly what: 'stream' | 'copy-out' | 'copy-in'
  /** Rows to stream, or megabytes to copy. */
  readonly amount: number
  /** Bytes of one value that is copied, and of one column of each row. */
  readonly valueBytes: number
  /** A reader that pauses after each piece. */
  readonly isSlow: boolean
}

/** What it did. */
export interface Account {
  readonly amount: number
  readonly peakBytes: number
  readonly ms: number
}

const megabyte = 1_000_000

async function pause(isSlow: boolean): Promise<void> {
  if (isSlow) await new Promise((resolve) => setTimeout(resolve, 1))
}

async function carryOut({ url, what, amount, valueBytes, isSlow }: Order): Promise<number> {
  await using pool = createPool({ connectionString: url, max: 1 })
  if (what === 'stream') {
    let sum = 0
    const rows = sql<{
      n: number
    }>`select n, 'a row of a few columns' as text, repeat('x', ${valueBytes}::int) as long
      from generate_series(1, ${amount}::int) n`
    for await (const batch of pool.streamBatches<{ n: number }>(rows)) {
      sum += batch.length
      await pause(isSlow)
    }
    return sum
  }
  const values = Math.ceil((amount * megabyte) / valueBytes)
  if (what === 'copy-out') {
    let bytes = 0
    const query = sql`select convert_to(repeat('x', ${valueBytes}::int), 'UTF8') from generate_series(1, ${values}::int)`
    for await (const chunk of pool.copyTo(query, { format: 'binary' }) as AsyncIterable<Buffer>) {
      bytes += chunk.length
      await pause(isSlow)
    }
    return bytes / megabyte
  }
  async function* file(): AsyncGenerator<Buffer> {
    yield Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), Buffer.alloc(8)])
    const piece = Buffer.alloc(65_536, 'x')
    for (let n = 0; n < values; n++) {
      const header = Buffer.alloc(6)
      header.writeInt16BE(1, 0)
      header.writeInt32BE(valueBytes, 2)
      yield header
      for (let left = valueBytes; left > 0; left -= piece.length) yield piece.subarray(0, Math.min(left, piece.length))
      await pause(isSlow)
    }
    yield Buffer.from([0xff, 0xff])
  }
  await pool.query('create unlogged table if not exists blob (bytes bytea)')
  const { bytes } = await pool.copyFrom({ table: 'blob', format: 'binary' }, file())
  await pool.query('truncate blob')
  return bytes / megabyte
}

const startedAt = performance.now()
const amount = await carryOut(JSON.parse(process.argv[2] ?? '') as Order)
const account: Account = {
  amount,
  peakBytes: process.resourceUsage().maxRSS * 1_024,
  ms: performance.now() - startedAt,
}
process.send?.(account)
process.disconnect?.()
