import { AsyncLocalStorage } from 'node:async_hooks'
import { callUser, warnOf } from '../../base/user-callback.js'
import { InvalidOptionError } from '../../errors/invalid-option-error.js'
import type { CopyOptions, CopyProgress } from './copy-options.js'

/**
 * What reports to `onProgress`. It is called while messages of the server are read, and what it throws must not end that:
 * it runs in the context of whoever asked for the COPY, and what goes wrong in it becomes a warning.
 */
export function progressReport({ onProgress }: CopyOptions): (bytes: number, rows: number) => void {
  if (onProgress === undefined) return nothing
  if (typeof onProgress !== 'function') {
    throw new InvalidOptionError('onProgress', `of type ${typeof onProgress}`, 'a function')
  }
  const asCaller = AsyncLocalStorage.snapshot()
  const call = (progress: CopyProgress): void => callUser(() => onProgress(progress), warnOfCopy)
  return (bytes, rows) => asCaller(call, { bytes, rows })
}

/** A warning about what a caller of COPY gave. */
export function warnOfCopy(error: unknown): void {
  warnOf(error, 'LifeguardCopyWarning')
}

const nothing = (): void => undefined
