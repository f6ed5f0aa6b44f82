import { expect, test } from 'vitest'
import { callersStack, ownFolders } from '../../src/resource-pool/slots.js'

function stackIn(file: string): string {
  return `Error: where\n    at ${file}:12:34\n    at ModuleJob.run (node:internal/modules/esm/module_job:439:25)`
}

test('the stack begins at the code that called into the package', () => {
  const stack = callersStack(callersStack)
  expect(stack?.split('\n')[0]).toContain('callers-stack.test.ts')
  expect(stack).not.toContain('core/src/')
})

test.each([
  ['the source', '/lifeguard/packages/core/src/resource-pool/slots.ts', '/lifeguard/packages/core/'],
  ['the built form', 'file:///lifeguard/packages/core/dist/lifeguard.js', '/lifeguard/packages/core/'],
  [
    'an installed package',
    'file:///app/node_modules/@pg-lifeguard/core/dist/lifeguard.js',
    '/app/node_modules/@pg-lifeguard/core/',
  ],
])('frames of %s are its own', (_, file, folder) => {
  expect(ownFolders(stackIn(file))).toEqual([`${folder}src/`, `${folder}dist/`])
})

test('frames are its own with the characters of a URL and with those of a path', () => {
  expect(ownFolders(stackIn('file:///my%20app/@pg-lifeguard/core/dist/lifeguard.js'))).toEqual([
    '/my%20app/@pg-lifeguard/core/src/',
    '/my%20app/@pg-lifeguard/core/dist/',
    '/my app/@pg-lifeguard/core/src/',
    '/my app/@pg-lifeguard/core/dist/',
  ])
})

test.each(['file:///app/dist/server.js', 'file:///app/packages/core/dist/server.js', 'file:///home/core/src/main.ts'])(
  'the file of a program that a bundler has put together is not its own: %s',
  (file) => {
    expect(ownFolders(stackIn(file))).toEqual([])
  },
)

test.each([undefined, '', 'Error: without frames', []])('a stack that says nothing names no folder: %j', (stack) => {
  expect(ownFolders(stack)).toEqual([])
})
