import { availableParallelism, cpus } from 'node:os'
import pg from 'pg'

/** What the numbers were measured on; they mean nothing without it. */
export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly node: string
  readonly postgresql: string
}

export async function describeMachine(url: string): Promise<Machine> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    const { rows } = await client.query<{ server_version: string }>('show server_version')
    return {
      cpu: cpus()[0]?.model.trim() ?? 'unknown',
      cores: availableParallelism(),
      node: process.versions.node,
      postgresql: rows[0]?.server_version ?? 'unknown',
    }
  } finally {
    await client.end()
  }
}
