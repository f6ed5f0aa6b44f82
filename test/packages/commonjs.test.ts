import { cp, mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { useDatabase } from '@pg-lifeguard/testing/vitest'
import { expect, test } from 'vitest'
import { root } from '../support/workspace.js'
import { output } from './tarballs.js'

const database = useDatabase()
const source = fileURLToPath(new URL('commonjs', import.meta.url))

const typescript5 = join(root, 'test/node_modules/typescript-5/bin/tsc')
const typescript7 = join(root, 'node_modules/typescript/bin/tsc')

test.each([
  ['TypeScript 5, moduleResolution node10', typescript5, { module: 'commonjs', moduleResolution: 'node10' }],
  ['TypeScript 5, module nodenext', typescript5, { module: 'nodenext' }],
  ['TypeScript 7, module nodenext', typescript7, { module: 'nodenext' }],
])(
  'a program in CommonJS compiles and runs: %s',
  async (title, tsc, options) => {
    const folder = join(root, 'test/packages', `.commonjs-${title.replace(/\W+/g, '-')}`)
    await rm(folder, { recursive: true, force: true })
    await cp(source, folder, { recursive: true })
    // One Drizzle for the program and for the adapter, as a user has it.
    await mkdir(join(folder, 'node_modules'))
    await symlink(
      join(root, 'packages/drizzle/node_modules/drizzle-orm'),
      join(folder, 'node_modules/drizzle-orm'),
      'dir',
    )
    try {
      const compilerOptions = {
        target: 'es2022',
        lib: ['es2022'],
        types: ['node'],
        strict: true,
        outDir: 'out',
        ...options,
      }
      const config = { compilerOptions: { ...compilerOptions, skipLibCheck: true }, files: ['program.ts'] }
      await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(config))
      await output(process.execPath, [tsc, '-p', folder, '--pretty', 'false'], folder)
      expect(
        JSON.parse(await output(process.execPath, ['out/program.js'], folder, { DATABASE: database.url })),
      ).toEqual({
        names: ['rope'],
        oneCore: true,
        isTwice: true,
        pgPool: true,
        database: true,
        refused: true,
        undone: true,
        misuse: true,
        known: true,
        adapters: ['function', 'function'],
      })
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  },
  120_000,
)
