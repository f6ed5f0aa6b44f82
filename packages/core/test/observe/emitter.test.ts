import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { expect, test } from 'vitest'
import { Emitter } from '../../src/observe/emitter.js'

interface Events {
  full: { readonly waiting: number }
  broke: { readonly error: unknown }
}

const newEmitter = (prefix: string): Emitter<Events> =>
  new Emitter<Events>({ prefix, stamp: { pool: 'shop' }, describe: (error) => `described: ${String(error)}` })

test('makes no event while nobody listens', () => {
  const emitter = newEmitter('test-quiet')
  let made = 0
  const emit = (): boolean => emitter.emit('full', () => ({ waiting: ++made }))
  expect(emit()).toBe(false)
  const stop = emitter.on('full', () => undefined)
  expect(emit()).toBe(true)
  stop()
  expect(emit()).toBe(false)
  expect(made).toBe(1)
})

test('tells its channel, with the stamp of the emitter on it', () => {
  const emitter = newEmitter('test-channel')
  const heard: unknown[] = []
  const listener = (message: unknown): void => void heard.push(message)
  subscribe('test-channel:full', listener)
  expect(emitter.channel('full').hasSubscribers).toBe(true)
  emitter.emit('full', () => ({ waiting: 3 }))
  unsubscribe('test-channel:full', listener)
  expect(emitter.channel('full').hasSubscribers).toBe(false)
  emitter.emit('full', () => ({ waiting: 4 }))
  expect(heard).toEqual([{ pool: 'shop', waiting: 3 }])
})

test('a channel, where anybody may listen, gets the description of an error; a listener of the pool the error', () => {
  const emitter = newEmitter('test-describe')
  const error = new Error('Key (email)=(ada@example.org) already exists')
  const onChannel: unknown[] = []
  const onEmitter: unknown[] = []
  const listener = (message: unknown): void => void onChannel.push(message)
  subscribe('test-describe:broke', listener)
  emitter.on('broke', (event) => onEmitter.push(event.error))
  emitter.emit('broke', () => ({ error }))
  unsubscribe('test-describe:broke', listener)
  expect(onChannel).toEqual([{ pool: 'shop', error: `described: ${error}` }])
  expect(onEmitter).toEqual([error])
})

test('a listener that throws becomes a warning, and hinders neither the others nor whoever told', async () => {
  const emitter = newEmitter('test-throw')
  const heard: number[] = []
  const warned = new Promise<Error>((resolve) => process.once('warning', resolve))
  emitter.on('full', () => {
    throw new Error('a careless listener')
  })
  emitter.on('full', ({ waiting }) => heard.push(waiting))
  expect(emitter.emit('full', () => ({ waiting: 5 }))).toBe(true)
  expect(heard).toEqual([5])
  expect((await warned).message).toBe('a careless listener')
})

test('the same listener may listen twice, and stop once', () => {
  const emitter = newEmitter('test-twice')
  let heard = 0
  const listener = (): void => {
    heard += 1
  }
  const stop = emitter.on('full', listener)
  emitter.on('full', listener)
  stop()
  stop()
  emitter.emit('full', () => ({ waiting: 1 }))
  expect(heard).toBe(1)
})
