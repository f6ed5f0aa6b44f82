import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { type FaultProxy, startFaultProxy } from '@pg-lifeguard/testing'
import { sessionsOf, useDatabase } from '@pg-lifeguard/testing/vitest'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import {
  connectClient,
  connectionError,
  connectSocket,
  fakeServer,
  nextChunk,
  rejection,
  sslRequest,
} from './proxy-support/clients.js'

const database = useDatabase()
let proxy: FaultProxy

beforeAll(async () => {
  proxy = await startFaultProxy({ target: database.url })
})

afterEach(async () => {
  await proxy.set({ roundTripMs: 0, jitterMs: 0, bandwidthBytesPerSecond: Infinity })
  await proxy.resume()
})

afterAll(() => proxy?.stop())

describe('the proxy', () => {
  test('passes everything through, the SCRAM password exchange included', async () => {
    await using connection = await connectClient(proxy.url, { application_name: 'pass' })
    const { rows } = await connection.client.query('select current_database() as name, $1::text as text', ['grüße'])
    expect(rows).toEqual([{ name: database.name, text: 'grüße' }])
    const [known] = (await proxy.connections()).filter(({ applicationName }) => applicationName === 'pass')
    expect(known).toMatchObject({ database: database.name, user: 'postgres', opaque: false })
    const { messages } = await proxy.stats()
    // SASL, SASLContinue, SASLFinal, Ok: the password was asked for.
    expect(messages.toClient.Authentication).toBeGreaterThanOrEqual(4)
  })

  test('gives the address of any database of the target', () => {
    const url = new URL(proxy.urlFor('postgres://me:p%40ss@db.example:6543/other?application_name=x'))
    expect(url.href).toBe(`postgres://me:p%40ss@127.0.0.1:${proxy.port}/other?application_name=x`)
  })

  test.each([1, 2, 5])('adds at least the round trip of %d ms that was set', async (roundTripMs) => {
    await using connection = await connectClient(proxy.url)
    await proxy.set({ roundTripMs })
    const times: number[] = []
    for (let index = 0; index < 100; index++) {
      const startedAt = performance.now()
      await connection.client.query('select 1')
      times.push(performance.now() - startedAt)
    }
    times.sort((a, b) => a - b)
    console.info(`round trip set to ${roundTripMs} ms: median ${times[50]?.toFixed(2)} ms`)
    expect(times[0]).toBeGreaterThanOrEqual(roundTripMs)
  })

  test('does not serialise pipelined queries', async () => {
    await using connection = await connectClient(proxy.url, { pipeline: true })
    const { client } = connection
    await proxy.set({ roundTripMs: 2 })
    const startedAt = performance.now()
    await Promise.all(Array.from({ length: 1000 }, (_, index) => client.query('select $1::int', [index])))
    // One after the other they would take at least 2000 ms.
    expect(performance.now() - startedAt).toBeLessThan(1500)
  })

  test('passes CancelRequest on, and counts it', async () => {
    await using connection = await connectClient(proxy.url, { application_name: 'sleeper' })
    const outcome = rejection(connection.client.query('select pg_sleep(60)'))
    await expect.poll(() => sessionsOf(database, { applicationName: 'sleeper' })).toMatchObject([{ state: 'active' }])
    const request = Buffer.alloc(16)
    request.writeUInt32BE(16, 0)
    request.writeUInt32BE(80877102, 4)
    request.writeUInt32BE(Reflect.get(connection.client, 'processID'), 8)
    request.writeInt32BE(Reflect.get(connection.client, 'secretKey'), 12)
    const socket = await connectSocket(proxy.port)
    socket.resume().end(request)
    expect(await outcome).toMatchObject({ code: '57014' })
    expect((await proxy.stats()).cancelRequests).toBe(1)
  })
})

describe('cut', () => {
  test('rst: the client sees ECONNRESET', async () => {
    await using connection = await connectClient(proxy.url, { application_name: 'reset' })
    expect(await proxy.cut({ connections: { applicationName: 'reset' } })).toBe(1)
    await connection.ended
    expect(connection.errors[0]).toMatchObject({ code: 'ECONNRESET' })
    await expect.poll(() => sessionsOf(database, { applicationName: 'reset' })).toEqual([])
  })

  test('fin: the client sees the end of the stream, and others are left alone', async () => {
    await using other = await connectClient(proxy.url, { application_name: 'other' })
    await using connection = await connectClient(proxy.url, { application_name: 'ended' })
    await proxy.cut({ how: 'fin', connections: { applicationName: 'ended' } })
    await connection.ended
    expect(connection.errors).toMatchObject([{ message: 'Connection terminated unexpectedly' }])
    expect((await other.client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    await expect.poll(() => sessionsOf(database, { applicationName: 'ended' })).toEqual([])
  })
})

describe('stall and resume', () => {
  test('lose nothing in the middle of a result', async () => {
    await using connection = await connectClient(proxy.url)
    const rule = await proxy.rule({
      direction: 'to-client',
      message: 'DataRow',
      skip: 1000,
      when: 'after',
      action: 'stall',
    })
    const answer = connection.client.query('select i::int from generate_series(1, 50000) as i')
    const { connectionId } = await rule.fired
    const stalled = (await proxy.connections()).filter((each) => each.stalled.toServer && each.stalled.toClient)
    expect(stalled.map(({ id }) => id)).toEqual([connectionId])
    await proxy.resume()
    const { rows } = await answer
    expect(rows).toHaveLength(50_000)
    expect(rows.every((row, index) => row.i === index + 1)).toBe(true)
  })

  test('let connects through to silence, and then to the server', async () => {
    await proxy.stall()
    const socket = await connectSocket(proxy.port)
    socket.write(sslRequest)
    await expect.poll(async () => (await proxy.connections()).at(-1)?.stalled.toServer).toBe(true)
    const answer = nextChunk(socket)
    await proxy.resume()
    expect(await answer).toBe('N')
    socket.destroy()
  })

  test('in one direction: the server goes on executing what it is sent', async () => {
    await using connection = await connectClient(proxy.url)
    await using watcher = await connectClient(database.url)
    await connection.client.query('create table seen (id int)')
    await proxy.stall({ direction: 'to-client' })
    const answer = connection.client.query('insert into seen values (1)')
    await expect.poll(async () => (await watcher.client.query('select from seen')).rowCount).toBe(1)
    await proxy.resume()
    expect((await answer).rowCount).toBe(1)
  })
})

describe('refuse', () => {
  test('gives ECONNREFUSED until accept, and leaves open connections alone', async () => {
    await using connection = await connectClient(proxy.url)
    await proxy.refuse()
    expect(await rejection(connectClient(proxy.url))).toMatchObject({ code: 'ECONNREFUSED' })
    expect((await connection.client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    await proxy.accept()
    await using again = await connectClient(proxy.url)
    expect((await again.client.query('select 2 as two')).rows).toEqual([{ two: 2 }])
  })

  test('of the target itself resets the client, and is counted', async () => {
    const gone = await fakeServer(() => undefined)
    await gone[Symbol.asyncDispose]()
    await using broken = await startFaultProxy({ target: { host: '127.0.0.1', port: gone.port } })
    const startedAt = Date.now()
    expect(await connectionError(broken.port)).toMatchObject({ code: 'ECONNRESET' })
    const { connectTimes, connections, refusedByTarget, socketErrors } = await broken.stats()
    expect({ connections, refusedByTarget, socketErrors }).toEqual({
      connections: { opened: 1, open: 0, closed: 1 },
      refusedByTarget: 1,
      socketErrors: { ECONNREFUSED: 1 },
    })
    expect(connectTimes).toHaveLength(1)
    expect(connectTimes[0]).toBeGreaterThan(startedAt - 1000)
  })
})

describe('rules', () => {
  test('delay one way at a message', async () => {
    await using connection = await connectClient(proxy.url)
    await proxy.rule({ direction: 'to-server', message: 'Sync', when: 'before', action: { delayMs: 100 } })
    const startedAt = performance.now()
    await connection.client.query('select $1::int', [1])
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(99)
  })

  test('skip and count matches, and can be removed', async () => {
    await using connection = await connectClient(proxy.url)
    const rule = await proxy.rule({
      statement: /pg_typeof/,
      when: 'before',
      action: { delayMs: 1 },
      count: Infinity,
      skip: 1,
    })
    const unused = await proxy.rule({ statement: 'never', when: 'before', action: 'cut' })
    for (let index = 0; index < 4; index++) await connection.client.query('select pg_typeof(1)')
    expect(await rule.count()).toBe(3)
    await rule.remove()
    await connection.client.query('select pg_typeof(1)')
    expect(await rule.count()).toBe(3)
    await unused.remove()
    expect(await rejection(unused.fired)).toMatchObject({ code: 'FAULT_PROXY_RULE_REMOVED' })
  })

  test('a cut after an answer lets the client have it first', async () => {
    await using connection = await connectClient(proxy.url)
    await proxy.rule({ direction: 'to-client', message: 'ReadyForQuery', when: 'after', action: 'cut' })
    expect((await connection.client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    await connection.ended
    expect(connection.errors[0]).toMatchObject({ code: 'ECONNRESET' })
  })

  test('are refused, or reported, where a connection is encrypted', async () => {
    await using server = await fakeServer((socket) => {
      // Says yes to SSLRequest and then echoes whatever comes.
      socket.once('data', () => {
        socket.write('S')
        socket.on('data', (chunk) => socket.write(chunk))
      })
    })
    await using tls = await startFaultProxy({ target: { host: '127.0.0.1', port: server.port } })
    const seen = await tls.rule({
      direction: 'to-server',
      message: 'SSLRequest',
      when: 'after',
      action: { delayMs: 1 },
    })
    const early = await tls.rule({ statement: 'COMMIT', when: 'after', action: 'cut' })
    const socket = await connectSocket(tls.port)
    socket.write(sslRequest)
    expect(await nextChunk(socket)).toBe('S')
    expect(await seen.fired).toMatchObject({ connectionId: 1 })
    expect(await rejection(early.fired)).toMatchObject({ code: 'FAULT_PROXY_ENCRYPTED' })
    const late = tls.rule({ statement: 'COMMIT', when: 'after', action: 'cut' })
    expect(await rejection(late)).toMatchObject({ code: 'FAULT_PROXY_ENCRYPTED' })
    socket.write('not to be understood')
    expect(await nextChunk(socket)).toBe('not to be understood')
    expect(await tls.connections()).toMatchObject([{ id: 1, opaque: true }])
    socket.destroy()
  })
})

describe('streams', () => {
  test('a client that has ended its side still gets the answer', async () => {
    await using server = await fakeServer((socket) => {
      let received = ''
      socket.on('data', (chunk) => {
        received += chunk
      })
      socket.on('end', () => socket.end(`got ${received}`))
    })
    await using half = await startFaultProxy({ target: { host: '127.0.0.1', port: server.port }, roundTripMs: 4 })
    const socket = await connectSocket(half.port)
    const answer = nextChunk(socket)
    socket.end('a question')
    expect(await answer).toBe('got a question')
    await expect.poll(() => half.connections()).toEqual([])
  })

  test('300 MB pass through a slow reader in bounded memory', async () => {
    const rowBytes = 1024 * 1024
    const row = Buffer.alloc(rowBytes + 5, 'lifeguard')
    row[0] = 'D'.charCodeAt(0)
    row.writeUInt32BE(rowBytes + 4, 1)
    const sent = createHash('sha256')
    await using server = await fakeServer(async (socket) => {
      for (let index = 0; index < 300; index++) {
        sent.update(row)
        if (!socket.write(row)) await once(socket, 'drain')
      }
      socket.end()
    })
    await using bulk = await startFaultProxy({ target: { host: '127.0.0.1', port: server.port } })
    const before = await bulk.stats()
    const socket = await connectSocket(bulk.port)
    // Nobody reads: the flow comes to rest when the kernel's buffers are full.
    let last = -1
    await expect
      .poll(
        async () => {
          const { bytes } = await bulk.stats()
          const rested = bytes.toClient > 0 && bytes.toClient === last
          last = bytes.toClient
          return rested
        },
        { interval: 100 },
      )
      .toBe(true)
    expect(last).toBeLessThan(50 * rowBytes)
    const received = createHash('sha256')
    for await (const chunk of socket) received.update(chunk)
    const after = await bulk.stats()
    expect(received.digest('hex')).toBe(sent.digest('hex'))
    expect(after.messages.toClient.DataRow).toBe(300)
    const grownBytes = after.process.residentBytes - before.process.residentBytes
    console.info(`resident ${after.process.residentBytes >> 20} MiB, grown by ${grownBytes >> 20} MiB`)
    // Buffers that await garbage collection make up most of it, about 80 MiB however much has passed.
    expect(grownBytes).toBeLessThan(128 * 1024 * 1024)
  })
})
