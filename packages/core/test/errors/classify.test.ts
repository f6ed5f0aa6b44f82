import { describe, expect, test } from 'vitest'
import {
  classify,
  type ErrorClass,
  endsSession,
  isRetryableByDefault,
  type Phase,
  provesAbort,
} from '../../src/errors/classify.js'
import { OperationAbortedError, OperationTimeoutError } from '../../src/errors/operation-errors.js'
import {
  AcquireTimeoutError,
  ConnectionLostError,
  LoginError,
  OverloadedError,
  PoolClosedError,
  QueueFullError,
  ServerUnavailableError,
} from '../../src/errors/pool-errors.js'
import {
  CommitUnknownError,
  DeadlockError,
  LockTimeoutError,
  TransactionClosedError,
  TransactionRolledBackError,
  VersionConflictError,
} from '../../src/errors/transaction-errors.js'
import { driverAdapterError, drizzleError, prismaError, serverError, socketError } from '../support/server-error.js'

const figures = {
  active: 10,
  idle: 0,
  connecting: 0,
  max: 10,
  waiting: 3,
  longestHeldMs: 5,
  longestHolderStack: undefined,
}

/** The contract, section 1, row by row: codes, class, and whether it is run again without being asked to. */
const contract: readonly (readonly [codes: string, expected: ErrorClass, retried: boolean])[] = [
  ['40001 CR000', 'conflict', true],
  ['40P01', 'deadlock', true],
  ['08000 08001 08003 08004 08006 57P01 57P02 57P03', 'connection', true],
  ['25006', 'topology', false],
  ['55P03 23505 23P01', 'contended', false],
  ['53000 53100 53200 53300 53400', 'overload', false],
  ['40003 08007', 'outcome-unknown', false],
  ['57014', 'cancelled', false],
  ['40002 25P02 25P03 25P04', 'user', false],
  ['22000 22001 22012 22P02', 'user', false],
  ['42000 42601 42P01 42501', 'user', false],
  ['23000 23001 23502 23503 23514', 'user', false],
  ['P0001 P0002 0A000 55000', 'user', false],
  ['28000 28P01 3D000 57P04', 'configuration', false],
  ['58000 58030 58P01 XX000', 'server', false],
]

const rows = contract.flatMap(([codes, expected, retried]) =>
  codes.split(' ').map((code) => [code, expected, retried] as const),
)

describe('the classification table', () => {
  test.each(rows)('%s is %s, retried by default: %s', (code, expected, retried) => {
    expect(classify(serverError(code))).toBe(expected)
    expect(classify(serverError(code), 'commit')).toBe(expected)
    expect(isRetryableByDefault(classify(serverError(code)))).toBe(retried)
  })

  test.each(rows)('%s is %s through Drizzle, Prisma and a wrapper of the user too', (code, expected) => {
    const server = serverError(code)
    expect(classify(drizzleError(server))).toBe(expected)
    expect(classify(driverAdapterError('postgres', code))).toBe(expected)
    expect(classify(prismaError('P2010', driverAdapterError('postgres', code)))).toBe(expected)
    expect(classify(new Error('could not save', { cause: drizzleError(server) }))).toBe(expected)
  })

  test('a full server at connect empties again, and is an overload later', () => {
    const full = serverError('53300', { severity: 'FATAL' })
    expect([classify(full, 'connect'), classify(full, 'statement')]).toEqual(['connection', 'overload'])
  })

  test('a standby conflict that comes as FATAL is a conflict all the same', () => {
    expect(classify(serverError('40001', { severity: 'FATAL' }))).toBe('conflict')
  })

  test.each(['check_transaction_read_only', 'check_XactReadOnly', 'check_transaction_isolation', 'get_relation_info'])(
    '0A000 out of %s is a standby that was taken for the primary',
    (routine) => {
      expect(classify(serverError('0A000', { routine }))).toBe('topology')
      expect(classify(drizzleError(serverError('0A000', { routine })))).toBe('topology')
    },
  )

  test('55000 is topology only when recovery is in progress', () => {
    expect(classify(serverError('55000', { message: 'recovery is in progress' }))).toBe('topology')
    expect(classify(serverError('55000', { message: 'currval is not yet defined' }))).toBe('user')
  })
})

describe('errors of the socket', () => {
  const codes = ['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH']

  test.each(codes)('%s is a connection error in every phase and under every wrapper', (code) => {
    const error = socketError(code)
    for (const phase of ['connect', 'statement', 'commit'] satisfies Phase[]) {
      expect(classify(error, phase)).toBe('connection')
    }
    expect(classify(drizzleError(error))).toBe('connection')
    expect(classify(prismaError('P2010', drizzleError(error)))).toBe('connection')
    expect(classify(new ConnectionLostError(true, { cause: error }))).toBe('connection')
  })

  test('of all addresses of a host together are one', () => {
    expect(classify(new AggregateError([new Error('?'), socketError('ECONNREFUSED')]))).toBe('connection')
    expect(classify(new AggregateError([new Error('?'), new Error('?')]))).toBe('user')
  })

  test('a lost connection is one although its cause has no code', () => {
    const lost = new ConnectionLostError(true, { cause: new Error('the server closed the connection') })
    expect(classify(lost)).toBe('connection')
    expect(classify(drizzleError(lost))).toBe('connection')
    expect(classify(prismaError('P2010', lost))).toBe('connection')
    expect(classify(new TransactionClosedError('its connection was lost', { cause: lost }))).toBe('connection')
  })

  test('an error without any code is the connection while connecting, and the caller later', () => {
    const error = new Error('Connection terminated unexpectedly')
    expect([classify(error, 'connect'), classify(error, 'statement')]).toEqual(['connection', 'user'])
  })

  test.each([
    'CERT_HAS_EXPIRED',
    'ERR_TLS_CERT_ALTNAME_INVALID',
    'SELF_SIGNED_CERT_IN_CHAIN',
    'DEPTH_ZERO_SELF_SIGNED_CERT',
  ])('a certificate that does not verify (%s) is configuration: the same at every attempt', (code) => {
    expect(classify(socketError(code), 'connect')).toBe('configuration')
  })

  test('a server without TLS is configuration', () => {
    expect(classify(new Error('The server does not support SSL connections'), 'connect')).toBe('configuration')
  })
})

describe('what is no error of the server', () => {
  test.each([undefined, null, 'text', 40001, { code: 40001 }, {}, Symbol('s'), new TypeError('x is not a function')])(
    '%s is the caller',
    (thrown) => {
      expect(classify(thrown)).toBe('user')
    },
  )

  test("Prisma's own codes are not taken for SQLSTATEs", () => {
    for (const code of ['P2034', 'P2010', 'P2028', 'P1001', 'P6000']) expect(classify(prismaError(code))).toBe('user')
  })
})

describe('our own errors', () => {
  const refused = socketError('ECONNREFUSED')
  const conflict = serverError('40001')

  const own: readonly (readonly [Error, ErrorClass])[] = [
    [new VersionConflictError('item 7'), 'version-conflict'],
    [new VersionConflictError('item 7', { cause: serverError('23505') }), 'version-conflict'],
    [new CommitUnknownError({ cause: socketError('ECONNRESET') }), 'outcome-unknown'],
    [new CommitUnknownError({ cause: serverError('57P01', { severity: 'FATAL' }) }), 'outcome-unknown'],
    [new LoginError('it asks for a password', 'one'), 'configuration'],
    [new ServerUnavailableError('db:5432', 5_000, 40, figures, { cause: refused }), 'unavailable'],
    [new ServerUnavailableError('db:5432', 5_000, 40, figures, { cause: serverError('57P03') }), 'unavailable'],
    [new AcquireTimeoutError(5_000, figures), 'user'],
    // Pool exhaustion is a bulkhead error, not a failure of the host, whatever else went wrong meanwhile.
    [new AcquireTimeoutError(5_000, figures, { cause: refused }), 'user'],
    [new QueueFullError(3, figures), 'user'],
    [new OverloadedError(120, figures), 'user'],
    [new PoolClosedError('cannot acquire a connection'), 'user'],
    [new LockTimeoutError('"x"', 10, { cause: serverError('55P03') }), 'contended'],
    [new LockTimeoutError('"x"', 10, { cause: new OperationTimeoutError(10, 'not-sent') }), 'contended'],
    [new DeadlockError('"x"', { cause: serverError('40P01') }), 'deadlock'],
    [new TransactionRolledBackError({ cause: conflict }), 'conflict'],
    [new TransactionRolledBackError({ cause: serverError('42601') }), 'user'],
    [new OperationTimeoutError(50, 'cancelled', { cause: serverError('57014') }), 'cancelled'],
    [new OperationTimeoutError(50, 'unknown'), 'cancelled'],
    // A caller who gave up is not to be tried again for, even when the reason it gave looks like one to try again.
    [new OperationTimeoutError(50, 'cancelled', { cause: conflict }), 'cancelled'],
    [new OperationAbortedError('cancelled', { cause: conflict }), 'cancelled'],
    [new OperationAbortedError('not-sent', { cause: refused }), 'cancelled'],
  ]

  test.each(own)('%s is %s, and stays that when somebody wraps it', (error, expected) => {
    expect(classify(error)).toBe(expected)
    expect(classify(drizzleError(error))).toBe(expected)
    expect(classify(prismaError('P2010', error))).toBe(expected)
    expect(classify(new Error('one', { cause: new Error('two', { cause: error }) }))).toBe(expected)
  })
})

describe('a chain of causes without an end', () => {
  test('that bites its tail is read once', () => {
    const one = new Error('one')
    const two = new Error('two', { cause: one })
    one.cause = two
    expect(classify(one)).toBe('user')
    expect(classify(one, 'connect')).toBe('connection')
  })

  test('through an AggregateError that holds itself is read once too', () => {
    const aggregate = new AggregateError([])
    aggregate.errors.push(aggregate, new Error('deeper', { cause: aggregate }), aggregate)
    expect(classify(aggregate)).toBe('user')
    aggregate.errors.push(socketError('ECONNREFUSED'))
    expect(classify(aggregate)).toBe('connection')
  })

  test('does not hide what stands within reach', () => {
    let error: Error = serverError('40001')
    for (let depth = 0; depth < 7; depth++) error = new Error(`wrapped ${depth}`, { cause: error })
    expect(classify(error)).toBe('conflict')
  })
})

describe('an error that answers COMMIT', () => {
  test.each(['23505', '40001', '23503', '23514', 'P0001', '53100', '40P01'])(
    'of severity ERROR (%s) proves that nothing was committed',
    (code) => {
      expect(provesAbort(serverError(code))).toBe(true)
    },
  )

  test.each(['40003', '08007', '08006', '08000', '57P01', '57P02'])('with %s does not, even as an ERROR', (code) => {
    expect(provesAbort(serverError(code))).toBe(false)
  })

  test.each(['FATAL', 'PANIC'])('of severity %s does not, whatever its code', (severity) => {
    for (const code of ['40001', '57P01', 'XX000', '23505', '25P04']) {
      expect(provesAbort(serverError(code, { severity }))).toBe(false)
    }
  })

  test('that no server sent does not', () => {
    for (const error of [
      socketError('ECONNRESET'),
      socketError('EPIPE'),
      new Error('Connection terminated unexpectedly'),
      new ConnectionLostError(true, { cause: socketError('EPIPE') }),
      new ConnectionLostError(true, { cause: serverError('57P01', { severity: 'FATAL' }) }),
      new OperationTimeoutError(5, 'unknown'),
      undefined,
    ]) {
      expect(provesAbort(error)).toBe(false)
    }
  })

  test('is the same under a deadline that ran out meanwhile', () => {
    const late = (cause: unknown): Error => new OperationTimeoutError(5, 'unknown', { cause })
    expect(provesAbort(late(serverError('40001')))).toBe(true)
    expect(provesAbort(late(serverError('40003')))).toBe(false)
    expect(provesAbort(late(serverError('57P01', { severity: 'FATAL' })))).toBe(false)
  })
})

test('FATAL and PANIC end the session, ERROR and errors without a server do not', () => {
  expect(['FATAL', 'PANIC', 'ERROR'].map((severity) => endsSession(serverError('40001', { severity })))).toEqual([
    true,
    true,
    false,
  ])
  expect(endsSession(drizzleError(serverError('57P01', { severity: 'FATAL' })))).toBe(true)
  expect([socketError('EPIPE'), new Error('x'), undefined].map(endsSession)).toEqual([false, false, false])
})
