import { expect, test } from 'vitest'
import { optionsPage, page } from '../docs-options/options-page.js'
import { read } from '../support/workspace.js'

test('docs/options.md is what `npx -y pnpm@12 docs:options` writes', async () => {
  expect(read(page)).toBe(await optionsPage())
})
