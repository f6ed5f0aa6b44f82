// Holds a connection until that is reported as a leak, and prints the report's stack.
import { createPool } from '@pg-lifeguard/core'

const stack = Promise.withResolvers()
const pool = createPool({
  connectionString: process.env.DATABASE,
  leakDetectionMs: 20,
  onLeak: ({ acquireStack }) => stack.resolve(acquireStack),
})

async function holdsForTooLong() {
  const connection = await pool.acquire()
  console.log(await stack.promise)
  connection.release()
}

await holdsForTooLong()
await pool.end()
