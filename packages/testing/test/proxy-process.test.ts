import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { FaultProxyError, type FaultProxyOptions, startFaultProxy } from '@pg-lifeguard/testing'
import { expect, test } from 'vitest'
import { connectSocket, fakeServer, rejection } from './proxy-support/clients.js'

const target = { host: '127.0.0.1', port: 5432 }

/** Runs a program that has started a proxy as `proxy`. The proxy shares its stderr, which closes with the last of both. */
function runProgram(rest: string) {
  const library = new URL('../dist/index.js', import.meta.url).href
  const source = `
    import { startFaultProxy } from ${JSON.stringify(library)}
    const proxy = await startFaultProxy({ target: { host: '127.0.0.1', port: 5432 } })
    console.log(proxy.port)
    ${rest}`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', source], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const port = once(createInterface(child.stdout), 'line').then(([line]) => Number(line))
  const exited = once(child, 'exit')
  const allGone = once(child.stderr.resume(), 'close')
  const dispose = async (): Promise<void> => {
    child.kill('SIGKILL')
  }
  return { child, port, exited, allGone, [Symbol.asyncDispose]: dispose }
}

test('the process is gone when its parent is killed', async () => {
  await using program = runProgram('setInterval(() => undefined, 1000)')
  const { child, port, allGone } = program
  const listening = await port
  child.kill('SIGKILL')
  await allGone
  expect(await rejection(connectSocket(listening))).toMatchObject({ code: 'ECONNREFUSED' })
})

test('the process does not keep its parent alive, and a command under way does', async () => {
  await using program = runProgram('await proxy.set({ roundTripMs: 1 }); await proxy.stats()')
  const { port, exited, allGone } = program
  const listening = await port
  expect(await exited).toEqual([0, null])
  await allGone
  expect(await rejection(connectSocket(listening))).toMatchObject({ code: 'ECONNREFUSED' })
})

test('stop ends the process, closes the port, and can be called again', async () => {
  const proxy = await startFaultProxy({ target })
  const rule = await proxy.rule({ statement: 'x', when: 'before', action: 'cut' })
  await Promise.all([proxy.stop(), proxy.stop()])
  await proxy.stop()
  expect(await rejection(connectSocket(proxy.port))).toMatchObject({ code: 'ECONNREFUSED' })
  expect(await rejection(proxy.stats())).toMatchObject({ code: 'FAULT_PROXY_STOPPED' })
  expect(await rejection(rule.fired)).toMatchObject({ code: 'FAULT_PROXY_STOPPED' })
})

test('a process that ends unasked is reported by what is called next', async () => {
  await using proxy = await startFaultProxy({ target })
  const rule = await proxy.rule({ statement: 'x', when: 'before', action: 'cut' })
  process.kill((await proxy.stats()).process.pid, 'SIGKILL')
  expect(await rejection(rule.fired)).toMatchObject({ code: 'FAULT_PROXY_EXITED' })
  const error = await rejection(proxy.cut())
  expect(FaultProxyError.isInstance(error)).toBe(true)
  expect(error).toMatchObject({ code: 'FAULT_PROXY_EXITED', message: expect.stringContaining('SIGKILL') })
})

test('a signal stops it, also while it starts', async () => {
  const reason = new Error('enough')
  expect(await rejection(startFaultProxy({ target, signal: AbortSignal.abort(reason) }))).toBe(reason)
  const starting = new AbortController()
  const started = startFaultProxy({ target, signal: starting.signal })
  starting.abort(reason)
  expect(await rejection(started)).toBe(reason)
  const running = new AbortController()
  const proxy = await startFaultProxy({ target, signal: running.signal })
  running.abort(reason)
  await proxy.stop()
  expect(await rejection(connectSocket(proxy.port))).toMatchObject({ code: 'ECONNREFUSED' })
})

test('a port that is taken is an error that names it', async () => {
  await using taken = await fakeServer(() => undefined)
  expect(await rejection(startFaultProxy({ target, port: taken.port }))).toMatchObject({
    code: 'FAULT_PROXY_LISTEN_FAILED',
    message: expect.stringContaining(`127.0.0.1:${taken.port}`),
  })
})

test.each<[string, FaultProxyOptions]>([
  ['target', { target: 'mysql://localhost/app' }],
  ['target', { target: 'postgresql:///app?host=/run/postgresql' }],
  ['target', { target: 'postgresql://app:secret@a:1,b:2/app' }],
  ['target.port', { target: { host: 'localhost', port: 0 } }],
  ['roundTripMs', { target, roundTripMs: -1 }],
  ['jitterMs', { target, jitterMs: Number.NaN }],
  ['bandwidthBytesPerSecond', { target, bandwidthBytesPerSecond: 0 }],
  ['seed', { target, seed: 0.5 }],
  ['port', { target, port: 70_000 }],
])('an invalid %s is named with its value and what is allowed, and never a password: %j', async (option, options) => {
  const error = await rejection(startFaultProxy(options))
  expect(error).toMatchObject({
    code: 'FAULT_PROXY_INVALID_OPTION',
    message: expect.stringMatching(new RegExp(`^${option} is .+; allowed: .+`)),
  })
  expect(String(error)).not.toContain('secret')
})
