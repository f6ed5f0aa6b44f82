import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { basename, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Manifest, packages, read, root } from '../support/workspace.js'
import { contentsOf, output, packAll, pnpm, storeOfPackages } from './tarballs.js'

const published = packages()
  .filter(({ manifest }) => manifest.private !== true)
  .map(({ folder, manifest }) => ({ folder, name: manifest.name }))

/** Everything of this test, outside of the repository: nothing must be found there by accident. */
let work = ''
let consumer = ''
const tarballs = new Map<string, string>()
const unpacked = new Map<string, { readonly folder: string; readonly files: readonly string[] }>()

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'lifeguard-tarballs-'))
  const paths = await packAll(work)
  for (const { name } of published) {
    const prefix = `${name.slice(1).replace('/', '-')}-`
    const tarball = paths.find((path) => basename(path).startsWith(prefix))
    if (tarball === undefined) throw new Error(`${name} was not packed`)
    const folder = join(work, `unpacked-${basename(tarball)}`)
    await mkdir(folder)
    tarballs.set(name, tarball)
    unpacked.set(name, { folder, files: await contentsOf(tarball, folder) })
  }
  consumer = await installed()
}, 300_000)

afterAll(() => rm(work, { recursive: true, force: true }))

/** A project of a user, with the tarballs installed: only what they declare can be imported there. */
async function installed(): Promise<string> {
  const folder = join(work, 'consumer')
  await mkdir(folder)
  const own = Object.fromEntries([...tarballs].map(([name, path]) => [name, `file:${path}`]))
  const known = JSON.parse(read('package.json')) as Manifest
  const kysely = JSON.parse(read('packages/kysely/package.json')) as Manifest
  const drizzle = JSON.parse(read('packages/drizzle/package.json')) as Manifest
  const prisma = JSON.parse(read('packages/prisma/package.json')) as Manifest
  const dependencies = {
    ...own,
    kysely: kysely.devDependencies?.['kysely'],
    'drizzle-orm': drizzle.devDependencies?.['drizzle-orm'],
    '@prisma/client': prisma.devDependencies?.['@prisma/client'],
    prisma: prisma.devDependencies?.['prisma'],
    '@types/node': known.devDependencies?.['@types/node'],
  }
  await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module', dependencies }))
  // Packages that need each other find the tarballs too, not the registry. No install script has to run. On a file system
  // of its own the folder would get a store of its own, and all packages once more.
  const settings = { overrides: own, strictDepBuilds: false, storeDir: storeOfPackages() }
  await writeFile(join(folder, 'pnpm-workspace.yaml'), JSON.stringify(settings))
  await cp(fileURLToPath(new URL('consumer', import.meta.url)), folder, { recursive: true })
  await pnpm(['install', '--prefer-offline', '--ignore-scripts'], folder)
  // Any program stands in for the schema engine, which is not run: without one it would be downloaded.
  const generate = ['node_modules/prisma/build/index.js', 'generate', '--schema', 'schema.prisma']
  await output(process.execPath, generate, folder, { PRISMA_SCHEMA_ENGINE_BINARY: process.execPath })
  return folder
}

function of(name: string): { readonly folder: string; readonly files: readonly string[] } {
  const found = unpacked.get(name)
  if (found === undefined) throw new Error(`${name} was not unpacked`)
  return found
}

describe.each(published)('the tarball of $name', ({ name, folder: source }) => {
  test('has what belongs there, and nothing else', () => {
    const { files } = of(name)
    for (const file of ['package.json', 'README.md', 'LICENSE', 'dist/index.js', 'dist/index.d.ts']) {
      expect(files).toContain(file)
    }
    const more = name === '@pg-lifeguard/core' ? ['jest-preset.cjs'] : []
    expect(files.filter((file) => !/^(package\.json|README\.md|LICENSE|(dist|src)\/.*)$/.test(file))).toEqual(more)
    expect(files.filter((file) => /\.(test|fixture)\.|(^|\/)tests?\//.test(file))).toEqual([])
  })

  test('has no file of dist whose source is gone', () => {
    const { files } = of(name)
    const orphans = files.filter((file) => {
      const match = /^dist\/(?:cjs\/)?(.*?)(\.d\.ts|\.js)(\.map)?$/.exec(file)
      // What two entries share has its sources in its map.
      return match !== null && match[1] !== 'lifeguard' && !files.includes(`src/${match[1]}.ts`)
    })
    expect(orphans, `delete ${source}/dist and build again`).toEqual([])
  })

  test('has source maps that lead to files in it', async () => {
    const { files, folder } = of(name)
    const maps = files.filter((file) => file.endsWith('.map'))
    expect(maps).not.toEqual([])
    for (const map of maps) {
      const { sources, sourceRoot = '' } = JSON.parse(await readFile(join(folder, map), 'utf8')) as {
        readonly sources: readonly string[]
        readonly sourceRoot?: string
      }
      for (const one of sources) expect(files).toContain(posix.join(posix.dirname(map), sourceRoot, one))
    }
  })

  test('names no workspace and no folder of this machine', async () => {
    const { files, folder } = of(name)
    for (const file of files) {
      const text = await readFile(join(folder, file), 'utf8')
      for (const path of [`${root}packages`, `${homedir()}/`, work, 'workspace:']) {
        expect(text.includes(path), `${file} names ${path}`).toBe(false)
      }
    }
  })

  test('is what publint expects', async () => {
    const buffer = await readFile(tarballs.get(name) ?? '')
    const tarball = buffer.buffer.slice(buffer.byteOffset, buffer.byteOffset + buffer.byteLength) as ArrayBuffer
    const { messages, pkg } = await publint({ pack: { tarball }, strict: true })
    expect(messages.map((message) => formatMessage(message, pkg))).toEqual([])
  })

  test('has types that every way to resolve modules finds', async () => {
    const attw = join(root, 'test/node_modules/.bin/attw')
    // Ends with an exit code when there is a problem.
    // CommonJS gets the module itself: every supported Node can `require` it.
    // jest alone reads its preset.
    const rules = ['--ignore-rules', 'cjs-resolves-to-esm', '--exclude-entrypoints', './jest-preset']
    await output(attw, ['--profile', 'strict', '--no-emoji', tarballs.get(name) ?? '', ...rules], work)
  })
})

describe('a project with the tarballs installed', () => {
  const strict = { target: 'esnext', lib: ['esnext'], types: ['node'], strict: true, skipLibCheck: false }

  async function compile(options: Readonly<Record<string, unknown>>): Promise<void> {
    const config = join(consumer, `tsconfig.${String(options['module'])}.json`)
    const compilerOptions = { ...strict, exactOptionalPropertyTypes: true, ...options }
    await writeFile(config, JSON.stringify({ compilerOptions, files: ['program.ts'] }))
    await output(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', config], consumer)
  }

  test('compiles with moduleResolution bundler', async () => {
    await compile({ module: 'preserve', moduleResolution: 'bundler', noEmit: true })
  }, 180_000)

  test('compiles with moduleResolution nodenext, and runs', async () => {
    await compile({ module: 'nodenext', moduleResolution: 'nodenext', outDir: 'out' })
    expect(JSON.parse(await output(process.execPath, ['out/program.js'], consumer))).toEqual({
      name: 'rope',
      names: ['rope', 'ring', 'net', 'knot'],
      knot: 'knot',
      locked: true,
      attempt: 1,
      state: '23505',
      kind: 'contended',
      misuse: 'LIFEGUARD_INVALID_OPTION',
      total: 4,
    })
  }, 180_000)

  test('compiles with Drizzle, and runs', async () => {
    const config = join(consumer, 'tsconfig.drizzle.json')
    const compilerOptions = { ...strict, module: 'nodenext', outDir: 'out' }
    await writeFile(config, JSON.stringify({ compilerOptions, files: ['drizzle.ts'] }))
    const tsc = join(root, 'node_modules/typescript/bin/tsc')
    // Drizzle's own declarations need the drivers of every database that it knows: only ours and the user's count.
    const said = await output(process.execPath, [tsc, '-p', config, '--pretty', 'false'], consumer).catch(String)
    expect(said.split('\n').filter((line) => /^drizzle\.ts|pg-lifeguard[^(]*\(/.test(line))).toEqual([])
    expect(JSON.parse(await output(process.execPath, ['out/drizzle.js'], consumer))).toEqual({
      names: ['rope', 'ring'],
      state: '23505',
    })
  }, 120_000)
})
