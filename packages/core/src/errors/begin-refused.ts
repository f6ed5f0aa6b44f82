import { InvalidOptionError } from './invalid-option-error.js'

/** For a BEGIN that stays open, asked of the pool as such: no later statement of its caller would belong to it. */
export function beginRefused(): InvalidOptionError {
  return new InvalidOptionError(
    'the statement',
    'one that begins a transaction and leaves it open, on whatever connection is free',
    'withTransaction or beginTransaction for a transaction; acquire() for a connection on which BEGIN can be sent by hand',
  )
}
