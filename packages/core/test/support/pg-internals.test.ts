import { EventEmitter, once } from 'node:events'
import { PassThrough } from 'node:stream'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { ConnectionBase, QueryBase } from '../../src/wire/pg-internals.js'

/** What src/wire/pg-internals.ts says of `pg`, held against the version that is installed. Nothing here connects. */
const withPrivates = (object: object): Record<string, unknown> => object as Record<string, unknown>

describe(`the private side of pg ${(pg as unknown as { version?: string }).version ?? ''}`.trim(), () => {
  test('Query has the handlers that a statement overrides, and submits itself', () => {
    const prototype = withPrivates(pg.Query.prototype)
    for (const name of [
      'requiresPreparation',
      'prepare',
      'submit',
      'handleRowDescription',
      'handleDataRow',
      'handleCommandComplete',
      'handleEmptyQuery',
      'handleError',
      'handleReadyForQuery',
      'handlePortalSuspended',
      'handleCopyInResponse',
    ]) {
      expect(prototype[name], name).toBeTypeOf('function')
    }
  })

  test('Query keeps its text, values, name, and a result that is also the list of results', () => {
    const query = new QueryBase({ text: 'select $1', values: [1], name: 'one', rowMode: 'array' })
    expect(query).toMatchObject({ text: 'select $1', values: [1], name: 'one' })
    expect(query._results).toBe(query._result)
    expect(query._result).toMatchObject({ command: null, rowCount: null, rows: [], fields: [] })
    expect(withPrivates(query._result)['parseRow']).toBeTypeOf('function')
    expect(withPrivates(query._result)['addFields']).toBeTypeOf('function')
  })

  test('Query needs preparation for values, a name and the extended mode, and only for them', () => {
    const needs = [
      { text: 'select 1' },
      { text: 'select 1', values: [] },
      { text: 'select $1', values: [1] },
      { text: 'select 1', name: 'one' },
      { text: 'select 1', queryMode: 'extended' as const },
      { text: '', queryMode: 'extended' as const },
    ].map((config) => new QueryBase(config).requiresPreparation())
    expect(needs).toEqual([false, false, true, true, true, true])
  })

  test('Query reads rows with its own type parsers', () => {
    const parser = (value: string): string => `<${value}>`
    const query = new QueryBase({ text: 'select 1', rowMode: 'array', types: { getTypeParser: () => parser } })
    const field = {
      name: 'a',
      tableID: 0,
      columnID: 0,
      dataTypeID: 23,
      dataTypeSize: 4,
      dataTypeModifier: -1,
      format: 'text',
    }
    query.handleRowDescription({ fields: [field] })
    expect(query._result.parseRow(['7'])).toEqual(['<7>'])
    query._result.rows.push(['<7>'])
    expect(query._result.fields).toEqual([field])
  })

  test('Query takes command and count from the tag of a CommandComplete', () => {
    const query = new QueryBase({ text: 'insert' })
    query.handleCommandComplete(
      { text: 'INSERT 0 3' },
      new ConnectionBase({ ssl: false, sslNegotiation: 'postgres', keepAlive: false }),
    )
    expect(query._result).toMatchObject({ command: 'INSERT', rowCount: 3 })
  })

  test('Connection has the messages that a statement and a cancel send', () => {
    const prototype = withPrivates(pg.Connection.prototype)
    for (const name of [
      'parse',
      'bind',
      'describe',
      'execute',
      'sync',
      'cancel',
      'connect',
      'requestSsl',
      'close',
      'flush',
    ]) {
      expect(prototype[name], name).toBeTypeOf('function')
    }
    const connection = new ConnectionBase({ ssl: false, sslNegotiation: 'postgres', keepAlive: false })
    expect(connection).toBeInstanceOf(EventEmitter)
    expect(connection).toMatchObject({ parsedStatements: {}, submittedNamedStatements: {} })
    for (const name of ['write', 'destroy', 'cork', 'uncork', 'once']) {
      expect(withPrivates(connection.stream)[name], name).toBeTypeOf('function')
    }
  })

  test('Client has the fields that tell where it is connected, and those a cancel needs', () => {
    const client = withPrivates(new pg.Client({ host: 'db.example', port: 6_543, user: 'app', password: 'secret' }))
    expect(client).toMatchObject({ processID: null, secretKey: null, host: 'db.example', port: 6_543, ssl: false })
    expect(client['sslNegotiation'] ?? 'postgres').toBe('postgres')
    expect(client['connection']).toBeInstanceOf(pg.Connection)
    for (const name of ['query', 'connect', 'end', 'on', 'once']) expect(client[name], name).toBeTypeOf('function')
  })

  test('an error of the server comes with the fields that errors are classified by, under their names', async () => {
    const stream = new PassThrough()
    const connection = new pg.Connection({ stream } as never)
    const { attachListeners } = pg.Connection.prototype as unknown as { attachListeners: (from: PassThrough) => void }
    attachListeners.call(connection, stream)
    const fields = 'SFATAL\0VFATAL\0C57P01\0Mterminating connection\0RProcessInterrupts\0\0'
    const length = Buffer.alloc(4)
    length.writeInt32BE(4 + fields.length)
    const said = once(connection, 'errorMessage')
    stream.write(Buffer.concat([Buffer.from('E'), length, Buffer.from(fields)]))
    const [error] = (await said) as unknown[]
    expect(error).toBeInstanceOf(pg.DatabaseError)
    expect(error).toMatchObject({
      severity: 'FATAL',
      code: '57P01',
      message: 'terminating connection',
      routine: 'ProcessInterrupts',
    })
  })
})
