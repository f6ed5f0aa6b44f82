import { describe, expect, test, vi } from 'vitest'
import { InvalidArgumentError, LifeguardError, type LifeguardErrorCode } from '../../src/errors/lifeguard-error.js'
import {
  OperationAbortedError,
  OperationTimeoutError,
  UnreadableResultError,
} from '../../src/errors/operation-errors.js'
import {
  AcquireTimeoutError,
  ConnectionLostError,
  ConnectionReleasedError,
  LoginError,
  OverloadedError,
  PoolClosedError,
  type PoolFigures,
  QueueFullError,
  SelfDeadlockError,
  ServerUnavailableError,
} from '../../src/errors/pool-errors.js'
import {
  CommitUnknownError,
  DeadlockError,
  LockLostError,
  LockTimeoutError,
  TransactionClosedError,
  TransactionRolledBackError,
  VersionConflictError,
} from '../../src/errors/transaction-errors.js'

const figures: PoolFigures = {
  active: 9,
  idle: 1,
  connecting: 2,
  max: 12,
  waiting: 37,
  longestHeldMs: 61_234.4,
  longestHolderStack: '    at checkout (shop.ts:12:3)',
}
const cause = new Error('connect ECONNREFUSED 10.0.0.1:5432')

interface Case {
  readonly error: LifeguardError
  readonly code: LifeguardErrorCode
  readonly retryable: boolean
  readonly name: string
  /** What the message must say. */
  readonly says: readonly string[]
}

const cases: readonly Case[] = [
  {
    error: new InvalidArgumentError('max', '0', 'a whole number, 1 or more'),
    code: 'LIFEGUARD_INVALID_OPTION',
    retryable: false,
    name: 'InvalidArgumentError',
    says: ['max is 0', 'allowed: a whole number, 1 or more'],
  },
  {
    error: new AcquireTimeoutError(5_000.4, figures, { heldByCaller: 2 }),
    code: 'LIFEGUARD_ACQUIRE_TIMEOUT',
    retryable: true,
    name: 'AcquireTimeoutError',
    says: [
      '5000 ms',
      '9/12 busy',
      '37 waiting',
      '1 idle',
      '2 connecting',
      'longest holder 61234 ms',
      'at checkout (shop.ts:12:3)',
      'the caller itself holds 2 connection(s)',
    ],
  },
  {
    error: new UnreadableResultError({ cause: new Error('not a date') }),
    code: 'LIFEGUARD_UNREADABLE_RESULT',
    retryable: false,
    name: 'UnreadableResultError',
    says: ['the statement has committed', 'could not be read', 'not a date'],
  },
  {
    error: new UnreadableResultError({ cause: 'no error', index: 3 }),
    code: 'LIFEGUARD_UNREADABLE_RESULT',
    retryable: false,
    name: 'UnreadableResultError',
    says: ['the batch has committed', 'the rows of statement 3', 'no error'],
  },
  {
    error: new QueueFullError(37, figures),
    code: 'LIFEGUARD_QUEUE_FULL',
    retryable: true,
    name: 'QueueFullError',
    says: ['37 callers', '9/12 busy'],
  },
  {
    error: new OverloadedError(143.4, figures),
    code: 'LIFEGUARD_OVERLOADED',
    retryable: true,
    name: 'OverloadedError',
    says: ['143 ms', 'faster than the pool can serve', '9/12 busy', '37 waiting'],
  },
  {
    error: new SelfDeadlockError(1, figures),
    code: 'LIFEGUARD_SELF_DEADLOCK',
    retryable: false,
    name: 'SelfDeadlockError',
    says: ['holds 1 connection(s)', 'all 12 connections', '9/12 busy', 'inside the transaction'],
  },
  {
    error: new ServerUnavailableError('10.0.0.1:5432', 4_999.6, 41, figures, { cause }),
    code: 'LIFEGUARD_SERVER_UNAVAILABLE',
    retryable: true,
    name: 'ServerUnavailableError',
    says: ['10.0.0.1:5432', 'ECONNREFUSED', '41 failed attempt(s)', 'waited 5000 ms'],
  },
  {
    error: new LoginError('the server asks for a password, and none was given', 'the option password'),
    code: 'LIFEGUARD_LOGIN_FAILED',
    retryable: false,
    name: 'LoginError',
    says: ['none was given', 'needed: the option password'],
  },
  {
    error: new PoolClosedError('cannot acquire a connection'),
    code: 'LIFEGUARD_POOL_CLOSED',
    retryable: false,
    name: 'PoolClosedError',
    says: ['cannot acquire a connection', 'ended'],
  },
  {
    error: new ConnectionReleasedError(),
    code: 'LIFEGUARD_CONNECTION_RELEASED',
    retryable: false,
    name: 'ConnectionReleasedError',
    says: ['already released'],
  },
  {
    error: new ConnectionLostError(true, { cause }),
    code: 'LIFEGUARD_CONNECTION_LOST',
    retryable: false,
    name: 'ConnectionLostError',
    says: ['while the statement ran', 'ECONNREFUSED'],
  },
  {
    error: new ConnectionLostError(false, { cause: 'gone' }),
    code: 'LIFEGUARD_CONNECTION_LOST',
    retryable: true,
    name: 'ConnectionLostError',
    says: ['before the statement was sent', 'gone'],
  },
  {
    error: new OperationTimeoutError(250.04, 'cancelled'),
    code: 'LIFEGUARD_TIMEOUT',
    retryable: true,
    name: 'OperationTimeoutError',
    says: ['250 ms', 'nothing took effect'],
  },
  {
    error: new OperationTimeoutError(0.5, 'not-sent'),
    code: 'LIFEGUARD_TIMEOUT',
    retryable: true,
    name: 'OperationTimeoutError',
    says: ['0.5 ms', 'nothing was sent'],
  },
  {
    error: new OperationTimeoutError(250, 'unknown'),
    code: 'LIFEGUARD_TIMEOUT',
    retryable: false,
    name: 'OperationTimeoutError',
    says: ['250 ms', 'may have taken effect'],
  },
  {
    error: new OperationAbortedError('unknown', { cause }),
    code: 'LIFEGUARD_ABORTED',
    retryable: false,
    name: 'AbortError',
    says: ['aborted by the caller', 'may have taken effect'],
  },
  {
    error: new TransactionClosedError('rolled back'),
    code: 'LIFEGUARD_TRANSACTION_CLOSED',
    retryable: false,
    name: 'TransactionClosedError',
    says: ['rolled back'],
  },
  {
    error: new TransactionRolledBackError({ cause }),
    code: 'LIFEGUARD_TRANSACTION_ROLLED_BACK',
    retryable: false,
    name: 'TransactionRolledBackError',
    says: ['nothing was committed', 'ECONNREFUSED', 'withTransaction'],
  },
  {
    error: new CommitUnknownError({ cause }),
    code: 'LIFEGUARD_COMMIT_UNKNOWN',
    retryable: false,
    name: 'CommitUnknownError',
    says: ['may or may not have been committed', 'ECONNREFUSED'],
  },
  {
    error: new LockTimeoutError('"invoice:42"', 1_999.7),
    code: 'LIFEGUARD_LOCK_TIMEOUT',
    retryable: true,
    name: 'LockTimeoutError',
    says: ['"invoice:42"', '2000 ms'],
  },
  {
    error: new LockLostError('"invoice:42"', 12.4, 'its session ended'),
    code: 'LIFEGUARD_LOCK_LOST',
    retryable: false,
    name: 'LockLostError',
    says: ['"invoice:42"', '12 ms', 'its session ended'],
  },
  {
    error: new DeadlockError('"a", "b"', { cause }),
    code: 'LIFEGUARD_DEADLOCK',
    retryable: true,
    name: 'DeadlockError',
    says: ['"a", "b"', 'in one call'],
  },
  {
    error: new VersionConflictError('item 7'),
    code: 'LIFEGUARD_VERSION_CONFLICT',
    retryable: true,
    name: 'VersionConflictError',
    says: ['item 7'],
  },
]

describe('every error of our own', () => {
  test.each(cases)('$name ($code, retryable: $retryable) has its code, its name and figures in its message', (one) => {
    const { error } = one
    expect(error).toBeInstanceOf(Error)
    expect(error).toBeInstanceOf(LifeguardError)
    expect({ code: error.code, retryable: error.retryable, name: error.name }).toEqual({
      code: one.code,
      retryable: one.retryable,
      name: one.name,
    })
    for (const part of one.says) expect(error.message).toContain(part)
    expect(error.message).not.toMatch(/undefined|NaN|\[object/)
    expect(error.stack).toContain('lifeguard-error.test')
  })

  test('shows its name in the stack and no marker among its keys', () => {
    const error = new QueueFullError(1, figures)
    expect(Object.keys(error).sort()).toEqual(['code', 'figures', 'retryable'])
    expect(String(error)).toMatch(/^QueueFullError: /)
  })

  test('keeps its cause', () => {
    expect(cases.filter(({ error }) => error.cause === cause).map(({ name }) => name)).toEqual([
      'ServerUnavailableError',
      'ConnectionLostError',
      'AbortError',
      'TransactionRolledBackError',
      'CommitUnknownError',
      'DeadlockError',
    ])
  })
})

describe('isInstance', () => {
  test('knows errors of another copy of this package, which instanceof does not', async () => {
    vi.resetModules()
    const copy = await import('../../src/errors/pool-errors.js')
    expect(copy.QueueFullError).not.toBe(QueueFullError)
    const error: unknown = new copy.QueueFullError(1, figures)
    expect(error).not.toBeInstanceOf(LifeguardError)
    expect(LifeguardError.isInstance(error)).toBe(true)
  })

  test('lets classify understand them too', async () => {
    vi.resetModules()
    const copy = await import('../../src/errors/transaction-errors.js')
    const { classify } = await import('../../src/errors/classify.js')
    expect(classify(new copy.VersionConflictError('item 7'))).toBe('version-conflict')
    expect(classify(new VersionConflictError('item 7'))).toBe('version-conflict')
  })

  test('is not taken in by anything else', () => {
    const impostor = { code: 'LIFEGUARD_TIMEOUT', [Symbol.for('pg-lifeguard.error')]: true }
    for (const value of [undefined, null, new Error('x'), impostor, 'LIFEGUARD_TIMEOUT']) {
      expect(LifeguardError.isInstance(value)).toBe(false)
    }
  })
})
