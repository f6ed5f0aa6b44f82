import { afterEach, expect, test, vi } from 'vitest'
import { Emitter } from '../../src/observe/emitter.js'
import { callUser, warnOf } from '../../src/observe/user-callback.js'

afterEach(() => {
  vi.restoreAllMocks()
})

const thrown = new Error('careless')

test.each<readonly [string, () => unknown]>([
  [
    'throws',
    () => {
      throw thrown
    },
  ],
  ['rejects', async () => Promise.reject(thrown)],
  [
    'gives a thenable whose then throws',
    () => ({
      // biome-ignore lint/suspicious/noThenProperty: that is what is tested
      then() {
        throw thrown
      },
    }),
  ],
])('an error of a callback that %s goes one way', async (_, fn) => {
  const failed = Promise.withResolvers<unknown>()
  callUser(fn, failed.resolve)
  expect(await failed.promise).toBe(thrown)
})

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}
function withGetter(name: string): Error {
  const get = (): never => {
    throw thrown
  }
  return Object.defineProperty(new Error('x'), name, { get })
}

test.each([
  [thrown, 'careless'],
  ['a text', 'a text'],
  [Object.create(null), '[object Object]'],
  [withGetter('name'), '[object Error]'],
  [withGetter('message'), '[object Error]'],
  [withGetter('stack'), '[object Error]'],
  [undefined, 'undefined'],
  [Object.defineProperty(new Error('x'), 'message', { get: () => throwing() }), '[object Error]'],
])('a warning is made of whatever was thrown, and says of which kind it is: %#', (given, said) => {
  const warning = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
  warnOf(given, 'SomeWarning')
  expect(warning).toHaveBeenCalledTimes(1)
  expect(warning.mock.calls[0]?.[0]).toMatchObject({ name: 'SomeWarning', message: said, cause: given })
})

test('the stack of a warning leads to the callback', () => {
  const warning = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
  warnOf(thrown, 'SomeWarning')
  expect(warning.mock.calls[0]?.[0]).toMatchObject({ stack: `SomeWarning: ${thrown.stack}` })
})

function throwing(): never {
  throw new Error('of a getter')
}

test('also of what cannot even be looked at', () => {
  const warning = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
  warnOf(revoked(), 'SomeWarning')
  expect(warning).toHaveBeenCalledTimes(1)
  expect(warning.mock.calls[0]?.[0]).toMatchObject({ name: 'SomeWarning', message: 'something that cannot be read' })
})

test('an async listener that rejects is a warning, and hinders nobody', async () => {
  const warned = Promise.withResolvers<unknown>()
  vi.spyOn(process, 'emitWarning').mockImplementation((error) => warned.resolve(error))
  const emitter = new Emitter<{ news: number }>()
  const heard: number[] = []
  emitter.on('news', (async () => Promise.reject(thrown)) as never)
  emitter.on('news', (n) => heard.push(n))
  emitter.emit('news', () => 1)
  expect(heard).toEqual([1])
  expect(await warned.promise).toMatchObject({ name: 'LifeguardListenerWarning', cause: thrown })
})
