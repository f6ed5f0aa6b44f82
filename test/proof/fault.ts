import type { Mode, Moment } from './cell.js'
import type { Hold } from './hold.js'
import type { Stage } from './stage.js'

/** What a fault finds when it strikes. */
export interface Scene {
  readonly stage: Stage
  readonly moment: Moment
  readonly hold: Hold
  readonly modes: readonly Mode[]
  /** Settles when every caller has its answer. */
  readonly answered: Promise<unknown>
}

/** Something that goes wrong. */
export interface Fault {
  readonly modes: readonly Mode[]
  /** Streaming replicas that it needs. */
  readonly replicas: number
  /** Whether it leaves a server that can be used again. */
  readonly reusable: boolean
  /** Whether the answer to COMMIT is held on the server, for this fault to come before it. */
  readonly holdsOnServer: boolean
  /** The deadline of the callers, where only that ends the fault. */
  readonly timeoutMs?: number
  /** Strikes all that is held, and lets go of it. */
  strike(scene: Scene): Promise<void>
}

/**
 * A COMMIT at work holds its lock on the server, whatever became of its client. It goes on only after those who have a
 * proof have proven theirs: what is left is the outcome without one.
 */
export async function releaseProven({ stage, moment, hold }: Scene, proving: readonly number[]): Promise<void> {
  if (moment === 'during COMMIT') await stage.untilGone(proving)
  await hold.release()
}
