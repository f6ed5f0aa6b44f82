import { expect, test } from 'vitest'
import { ClusterStartError, connectToServer, startFaultProxy } from '../src/index.js'

const secret = 'hunter2'
const urls = [
  `postgres://me:${secret}&a=b@127.0.0.1:1/shop`,
  `postgres://me:${secret}/x@127.0.0.1:1/shop`,
  `postgres://me:1/${secret}@127.0.0.1:1/shop`,
  `postgres://me:1?${secret}&b@127.0.0.1:1/shop`,
  `postgres://me:1#${secret}@127.0.0.1:1/shop`,
  `postgres://127.0.0.1:1/shop?user=me&password=${secret}&b`,
  `postgres://me:${secret} %zz@127.0.0.1:x/shop`,
  `http://me:${secret}@127.0.0.1:1/shop`,
]

/** Everything that a log may show of an error. */
function allOf(error: unknown): string {
  const { message, stack, cause } = error as Error
  const more = cause === undefined ? '' : `${allOf(cause)} ${JSON.stringify(cause)}`
  return `${message} ${stack} ${JSON.stringify(error)} ${more}`
}

test.each(urls)('no message of a server that cannot be used shows a password: %#', async (url) => {
  const error = await connectToServer(url).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(Error)
  expect(allOf(error)).not.toContain(secret)
})

test.each(urls)('no message of the proxy shows a password: %#', async (url) => {
  const target = url.startsWith('http') ? url : `${url}${url.includes('?') ? '&' : '?'}host=other`
  const error = await startFaultProxy({ target }).then(
    async (proxy) => {
      await proxy.stop()
      return undefined
    },
    (reason: unknown) => reason,
  )
  expect(allOf(error ?? new Error('was taken'))).not.toContain(secret)
})

test('the end of a log shows no password of a setting, a statement or a url', () => {
  const log = [
    `LOG:  parameter "primary_conninfo" changed to "host=127.0.0.1 password=${secret} user=a"`,
    `STATEMENT:  alter role app password '${secret}'`,
    `DETAIL:  postgres://app:${secret}@db/shop`,
  ]
  const error = new ClusterStartError('did not start', { log })
  expect(error.message).toContain('user=a')
  expect(error.message).toContain('alter role app password')
  expect(`${error.message} ${error.log.join(' ')}`).not.toContain(secret)
})
