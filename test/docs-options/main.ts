import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { root } from '../support/workspace.js'
import { optionsPage, page } from './options-page.js'

await writeFile(join(root, page), await optionsPage())
