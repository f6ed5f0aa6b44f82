/** A cluster that runs, or is on its way up. */
export interface Stoppable {
  stop(): Promise<void>
}

const running = new Set<Stoppable>()

/** Until the returned function is called, stopAllClusters() stops this one too. */
export function addRunning(cluster: Stoppable): () => void {
  running.add(cluster)
  return () => running.delete(cluster)
}

/**
 * Stops every cluster that this process has started or is starting, and resolves when nothing of them is left. For a
 * program's own signal handler; without one, `startCluster({ handleSignals: true })` does the same.
 *
 * @throws AggregateError of ServerOperationErrors when something could not be removed.
 * @example
 * process.once('SIGINT', async () => {
 *   await stopAllClusters()
 *   process.exit(130)
 * })
 */
export async function stopAllClusters(): Promise<void> {
  const results = await Promise.allSettled([...running].map((cluster) => cluster.stop()))
  const errors = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
  if (errors.length > 0) throw new AggregateError(errors, `${errors.length} cluster(s) were not removed completely`)
}
