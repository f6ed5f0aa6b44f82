/**
 * Which connections a flush closes.
 *
 * - `'idle'`: those that nobody uses now; whoever asks next gets a new one.
 * - `'gracefully'`: every one that was opened before the call, those in use as they come back.
 * - `'all'`: every one that was opened before the call, at once: what runs on them fails.
 */
export type FlushMode = 'idle' | 'gracefully' | 'all'

/** Everything that it may be. */
export const flushModes: readonly FlushMode[] = ['idle', 'gracefully', 'all']
