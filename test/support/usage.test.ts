import { expect, test } from 'vitest'
import { readArguments, seedFrom, UsageError, wholeNumber } from './usage.js'

const usage = {
  help: 'a program',
  options: { seconds: { type: 'string' }, json: { type: 'boolean' } },
} as const

test('options are read, after the dashes of pnpm too', () => {
  expect(readArguments(['--', '--seconds', '3', '--json'], usage).values).toEqual({ seconds: '3', json: true })
  expect(readArguments(['--help'], usage).values).toEqual({ help: true })
  expect(readArguments(['one', '--json', 'two'], { ...usage, allowPositionals: true }).positionals).toEqual([
    'one',
    'two',
  ])
})

test.each([
  [['--minutes', '3'], "Unknown option '--minutes'; --help lists the options"],
  [['--seconds'], "Option '--seconds <value>' argument missing; --help lists the options"],
  [['one'], "Unexpected argument 'one'; --help lists the options"],
])('%j is refused in one line', (args, message) => {
  const read = (): unknown => readArguments(args, usage)
  expect(read).toThrow(UsageError)
  expect(read).toThrow(expect.objectContaining({ message: expect.stringContaining(message.split('; ')[0] ?? '') }))
  expect(read).toThrow(/^[^\n]*; --help lists the options$/)
})

test.each(['x', '', '-1', '1.5', '0', '86401', '1e3'])(
  'a number that %j is not is refused by name, value and bounds',
  (value) => {
    const read = (): number => wholeNumber('--seconds', value, 1, 86_400)
    expect(read).toThrow(new UsageError(`--seconds ${value}: a whole number from 1 to 86400 is needed`))
  },
)

test('a seed is the one that is given, or one by chance', () => {
  expect(seedFrom('4294967295')).toBe(4_294_967_295)
  expect(Number.isSafeInteger(seedFrom(undefined))).toBe(true)
  expect(() => seedFrom('4294967296')).toThrow(UsageError)
})
