import type { FaultProxy } from '@pg-lifeguard/testing'

/** Round trips that have gone through the proxy so far: each ends in a Sync, or is a simple Query. */
export async function roundTrips(proxy: FaultProxy): Promise<number> {
  const { messages } = await proxy.stats()
  return (messages.toServer['Sync'] ?? 0) + (messages.toServer['Query'] ?? 0)
}
