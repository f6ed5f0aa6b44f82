import { join } from 'node:path'
import { expect, test } from 'vitest'
import { schema } from '../docs-options/option-docs.js'
import { coreReadme, optionsPage, page, schemaWithDefaults } from '../docs-options/options-page.js'
import { read, root } from '../support/workspace.js'

test('docs/options.md is what `npx -y pnpm@12 docs:options` writes', async () => {
  await expect(optionsPage()).toMatchFileSnapshot(join(root, page))
})

test('the table of options in the README of the core is what `npx -y pnpm@12 docs:options` writes', async () => {
  const readme = 'packages/core/README.md'
  await expect(coreReadme(read(readme))).toMatchFileSnapshot(join(root, readme))
})

test('the documentation of each option says its default, as `npx -y pnpm@12 docs:options` writes it', async () => {
  await expect(schemaWithDefaults()).toMatchFileSnapshot(join(root, schema))
})
