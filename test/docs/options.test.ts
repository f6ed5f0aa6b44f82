import { join } from 'node:path'
import { expect, test } from 'vitest'
import { optionsPage, page } from '../docs-options/options-page.js'
import { root } from '../support/workspace.js'

test('docs/options.md is what `npx -y pnpm@12 docs:options` writes', async () => {
  await expect(optionsPage()).toMatchFileSnapshot(join(root, page))
})
