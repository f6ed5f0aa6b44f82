import { Deadline, sleep } from '../deadline/deadline.js'
import { classify, isInfrastructureError } from '../errors/classify.js'
import { assertKnownOptions, optionNames } from '../errors/known-options.js'
import { InvalidArgumentError, isInstance } from '../errors/lifeguard-error.js'
import { ownedBy } from '../errors/origin.js'
import { PoolClosedError } from '../errors/pool-errors.js'
import { fieldOf } from '../errors/sqlstate.js'
import { captureContext, inNoContext } from '../observe/context.js'
import { callUser, warnOf } from '../observe/user-callback.js'
import { fullJitter } from '../resilience/retry.js'
import type { WorkContext } from '../resource-pool/wait-queue.js'
import type { LockHandle } from '../transaction/held-lock.js'
import type { Standing } from './elections.js'
import type { SessionLock } from './lock.js'
import { acquireLock, type LockEnvironment } from './with-lock.js'

/** How an election is run. */
export interface ElectOptions {
  /** Part of the hash of the name. @default 'lifeguard' */
  readonly namespace?: string | undefined
  /** Ends the candidacy when it aborts, as `stop` does. */
  readonly signal?: AbortSignal | undefined
  /** Called with every error that ended a term or kept the candidate from standing; the candidate stands again. */
  readonly onError?: ((error: unknown) => void) | undefined
  /**
   * Called once when the end of the pool ends the candidacy, leading or not; not for `stop` or `signal`. It does not stand
   * again, also when `cancelEnd` undoes the end.
   */
  readonly onEnd?: ((error: PoolClosedError) => unknown) | undefined
}

const names = optionNames<ElectOptions>({ namespace: true, signal: true, onError: true, onEnd: true })

/** A candidacy: it stands until it is stopped, or its pool ends. */
export interface Candidacy extends AsyncDisposable {
  /** Whether this process leads now, as far as it knows. */
  readonly isLeader: boolean
  /** Gives up leading, or standing: aborts the leader's `signal`, waits until its work has ended, and lets the next one in. */
  stop(): Promise<void>
}

/**
 * Stands for leader under a name: `fn` runs for as long as this process leads, in one process at a time. When `fn` ends,
 * throws, or loses its lock, the candidate stands again; the next one waits in the server's queue, and is in as soon as
 * the session of the last one is gone. A leader that has lost its lock without knowing is recognised by its fencing token.
 *
 * It ends with the pool: the leader's `signal` aborts at once, and its work is waited for as other work is. A leader that
 * ends the pool itself gives its lock back at once.
 */
export function elect(
  environment: LockEnvironment,
  name: string,
  fn: (term: LockHandle) => Promise<unknown>,
  options: ElectOptions = {},
): Candidacy {
  if (typeof name !== 'string' || name === '') throw new InvalidArgumentError('name', JSON.stringify(name), 'a name')
  if (typeof fn !== 'function') throw new InvalidArgumentError('fn', `of type ${typeof fn}`, 'a function')
  assertKnownOptions(options, names)
  for (const name of ['onError', 'onEnd'] as const) {
    const callback: unknown = options[name]
    if (callback !== undefined && typeof callback !== 'function')
      throw new InvalidArgumentError(name, `of type ${typeof callback}`, 'a function')
  }
  if (environment.server.pool.isEnding)
    throw ownedBy(new PoolClosedError('cannot stand for leader'), environment.server.environment)
  const stopped = new AbortController()
  let isPoolEnding = false
  const { clock, random } = environment.server.environment
  const { ambient, elections } = environment
  const signal = options.signal === undefined ? stopped.signal : AbortSignal.any([stopped.signal, options.signal])
  let leading: { readonly lock: SessionLock; readonly holder: WorkContext } | undefined
  // A candidacy outlives its caller: what it calls back runs in the caller's context, without what is open around the call.
  const outside = ambient.exit(captureContext)
  const warn = (error: unknown): void => warnOf(error, 'LifeguardElectionWarning')
  const onError = (error: unknown): void => {
    // A listener that throws must not end the candidacy.
    outside(() => callUser(() => (options.onError ?? warn)(error), warn))
  }
  const term = async (): Promise<void> => {
    const lock = (await acquireLock(environment, name, {
      namespace: options.namespace,
      signal,
      dedicated: true,
    })) as SessionLock
    const holder: WorkContext = { held: 0 }
    lock.countIn(holder)
    leading = { lock, holder }
    try {
      // What it asks of the pool counts as work that has begun, and may be finished while the pool ends.
      await outside(() => ambient.run({ holder }, async () => await fn(lock)))
    } finally {
      leading = undefined
      const lost = await lock.releaseOnce()
      if (lost !== undefined && !isPoolEnding) onError(lost)
    }
  }
  const stand = async (): Promise<void> => {
    for (let failures = 0; !signal.aborted; ) {
      try {
        await term()
        failures = 0
      } catch (error) {
        // What was asked to stop, and stopped, has not failed.
        if (signal.aborted && (classify(error) === 'cancelled' || (isPoolEnding && isOfTheEnd(error)))) break
        failures += 1
        onError(error)
      }
      // Whoever has just led lets others have a chance, and one that cannot stand does not spin.
      await sleep(fullJitter(failures + 1, { baseMs: 20, capMs: 1_000 }, random), clock, Deadline.ofSignal(signal))
    }
  }
  const candidate: Standing = {
    get leader() {
      return leading?.holder
    },
    end: (isFromLeader) => {
      if (isPoolEnding) return
      const isStanding = !signal.aborted
      isPoolEnding = true
      stopped.abort()
      // It would wait for its own end.
      if (isFromLeader) void leading?.lock.releaseOnce()
      if (!isStanding) return
      const ended = ownedBy(new PoolClosedError('ended the candidacy'), environment.server.environment)
      outside(() => callUser(() => options.onEnd?.(ended), warn))
    },
  }
  elections.add(candidate)
  const standing = inNoContext(stand).finally(() => elections.delete(candidate))
  const stop = async (): Promise<void> => {
    stopped.abort()
    await standing
  }
  return {
    get isLeader() {
      return leading !== undefined && !leading.lock.signal.aborted
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

/** What work meets when its pool is gone. */
function isOfTheEnd(error: unknown): boolean {
  if (isInstance(error, PoolClosedError) || isInfrastructureError(error)) return true
  return isInstance(error, Error) && fieldOf(error, 'name') === 'AbortError'
}
