import { expect, test } from 'vitest'
import { breakerVerdict } from '../../src/errors/classify.js'
import { OperationAbortedError, OperationTimeoutError } from '../../src/errors/operation-errors.js'
import {
  AcquireTimeoutError,
  ConnectionLostError,
  PoolClosedError,
  QueueFullError,
  ServerUnavailableError,
} from '../../src/errors/pool-errors.js'
import { CommitUnknownError, VersionConflictError } from '../../src/errors/transaction-errors.js'
import { driverAdapterError, drizzleError, prismaError, serverError, socketError } from '../support/server-error.js'

const figures = {
  active: 1,
  idle: 0,
  connecting: 0,
  max: 1,
  waiting: 1,
  longestHeldMs: 5,
  longestHolderStack: undefined,
}
const cause = socketError('ECONNRESET')

test.each([
  ['08000', 'failure'],
  ['08003', 'failure'],
  ['08006', 'failure'],
  ['08007', 'failure'],
  ['57P01', 'failure'],
  ['57P02', 'failure'],
  ['57P03', 'failure'],
  ['53100', 'failure'],
  ['53300', 'failure'],
  ['58030', 'failure'],
  ['XX000', 'failure'],
  ['57014', 'slow'],
  ['40001', 'neutral'],
  ['40P01', 'neutral'],
  ['40003', 'neutral'],
  ['55P03', 'neutral'],
  ['25006', 'neutral'],
  ['28P01', 'neutral'],
  ['3D000', 'neutral'],
  ['22P02', 'success'],
  ['23502', 'success'],
  ['23503', 'success'],
  ['23505', 'success'],
  ['23P01', 'success'],
  ['42601', 'success'],
  ['42P01', 'success'],
  ['P0001', 'success'],
  ['08P01', 'success'],
])('%s says %s of the host, wherever an ORM has put it', (code, verdict) => {
  expect(breakerVerdict(serverError(code))).toBe(verdict)
  expect(breakerVerdict(drizzleError(serverError(code)))).toBe(verdict)
  expect(breakerVerdict(prismaError('P2010', driverAdapterError('postgres', code)))).toBe(verdict)
})

test.each<readonly [string, unknown, string]>([
  ['a call that returned', undefined, 'success'],
  ['a refused connection', socketError('ECONNREFUSED'), 'failure'],
  ['a lost connection', new ConnectionLostError(true, { cause }), 'failure'],
  ['one lost before anything was sent', new ConnectionLostError(false, { cause }), 'neutral'],
  ['no server', new ServerUnavailableError('here', 5, 1, figures, { cause }), 'failure'],
  ['an unknown commit', new CommitUnknownError({ cause }), 'failure'],
  ['a time limit that the host did not answer to', new OperationTimeoutError(5, 'unknown'), 'failure'],
  ['a time limit that stopped a statement', new OperationTimeoutError(5, 'cancelled'), 'slow'],
  ['a time limit before anything was sent', new OperationTimeoutError(5, 'not-sent'), 'neutral'],
  ['a caller who gave up', new OperationAbortedError('unknown', { cause: undefined }), 'neutral'],
  ['a busy pool', new AcquireTimeoutError(5, figures, { cause }), 'neutral'],
  ['a full queue', new QueueFullError(1, figures), 'neutral'],
  ['an ended pool', new PoolClosedError('no more'), 'neutral'],
  ['a version conflict', new VersionConflictError('item 7'), 'neutral'],
  ['an error of the code around', new TypeError('x is not a function'), 'neutral'],
])('%s', (_what, error, verdict) => expect(breakerVerdict(error)).toBe(verdict))

test("a statement with too few values is the statement's own fault, a broken protocol is the host's", () => {
  expect(breakerVerdict(serverError('08P01'))).toBe('success')
  expect(breakerVerdict(serverError('08P01', { severity: 'FATAL' }))).toBe('failure')
})
