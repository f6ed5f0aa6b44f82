import { describe, expect, test } from 'vitest'
import { errorWithSqlState, sqlStateOf } from '../../src/errors/sqlstate.js'
import { driverAdapterError, drizzleError, prismaError, serverError, socketError } from '../support/server-error.js'

describe('the SQLSTATE of an error', () => {
  test('stands at code for pg and Kysely', () => {
    expect(sqlStateOf(serverError('23505'))).toBe('23505')
  })

  test('stands at cause.code for Drizzle', () => {
    expect(sqlStateOf(drizzleError(serverError('40P01')))).toBe('40P01')
  })

  test('stands at meta.driverAdapterError.cause.originalCode for Prisma, behind a code of its own', () => {
    for (const code of ['P2034', 'P2010', 'P2002']) {
      expect(sqlStateOf(prismaError(code, driverAdapterError('TransactionWriteConflict', '40001')))).toBe('40001')
    }
  })

  test('stands at cause.originalCode in a bare DriverAdapterError, as after a write skew', () => {
    expect(sqlStateOf(driverAdapterError('TransactionWriteConflict', '40001'))).toBe('40001')
  })

  test("is none of Prisma's own codes", () => {
    for (const code of ['P2034', 'P2010', 'P2028', 'P1001', 'P3005', 'P5000', 'P6001']) {
      expect(sqlStateOf(prismaError(code))).toBeUndefined()
    }
  })

  test("may be one of PL/pgSQL's class P0, which looks like them", () => {
    expect(sqlStateOf(serverError('P0001'))).toBe('P0001')
  })

  test('is none of the codes of a socket, even of five letters', () => {
    for (const code of ['EPIPE', 'EPERM', 'EBUSY', 'ECONNRESET', 'ENOENT']) {
      expect(sqlStateOf(socketError(code))).toBeUndefined()
      expect(sqlStateOf(drizzleError(socketError(code)))).toBeUndefined()
    }
  })

  test('is nothing of another form', () => {
    for (const code of ['4000', '400011', '40p01', 'LIFEGUARD_TIMEOUT', '', 40001, null]) {
      expect(sqlStateOf({ code })).toBeUndefined()
    }
    for (const thrown of [undefined, null, '40001', 40001, new Error('40001')])
      expect(sqlStateOf(thrown)).toBeUndefined()
  })

  test('comes with the object it stands in, where severity and routine stand too', () => {
    const server = serverError('40001', { severity: 'FATAL' })
    expect(errorWithSqlState(new Error('x', { cause: drizzleError(server) }))).toEqual({
      state: '40001',
      error: server,
    })
  })

  test('is the outermost of several: a later error says what happened, an earlier one only why', () => {
    const first = serverError('23505')
    const second = Object.assign(serverError('25P02'), { cause: first })
    expect(sqlStateOf(second)).toBe('25P02')
  })

  test('is looked for in a chain that bites its tail only once', () => {
    const one: { cause?: unknown } = {}
    one.cause = { cause: one }
    expect(sqlStateOf(one)).toBeUndefined()
  })
})
