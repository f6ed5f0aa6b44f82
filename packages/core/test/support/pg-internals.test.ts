import { EventEmitter, once } from 'node:events'
import { PassThrough } from 'node:stream'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { ConnectionBase } from '../../src/connection/pg-internals.js'

/** What src/connection/pg-internals.ts says of `pg`, held against the version that is installed. Nothing here connects. */
const withPrivates = (object: object): Record<string, unknown> => object as Record<string, unknown>

describe(`the private side of pg ${(pg as unknown as { version?: string }).version ?? ''}`.trim(), () => {
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
