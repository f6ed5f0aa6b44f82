import { setTimeout as pause } from 'node:timers/promises'
import type { ServerNode } from '@pg-lifeguard/testing'

/** Holds up the replay of each replica for 0 to `longestMs` again and again, until it is stopped. */
export async function delayReplay(
  replicas: readonly ServerNode[],
  longestMs: number,
  random: () => number,
  isOver: () => boolean,
): Promise<void> {
  const each = async (server: ServerNode): Promise<void> => {
    while (!isOver()) {
      await server.pauseReplay()
      await pause(random() * longestMs)
      await server.resumeReplay()
      await pause(random() * 20)
    }
  }
  await Promise.all(replicas.map(each))
}
