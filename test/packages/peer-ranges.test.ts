import { expect, test } from 'vitest'
import { files, packages, read } from '../support/workspace.js'

/** Packages of this house that stand on the core, and what each is an adapter for, with the range that it accepts. */
const adapters = packages().flatMap(({ folder, manifest }) =>
  manifest.private !== true && manifest.dependencies?.['@pg-lifeguard/core'] !== undefined
    ? Object.entries(manifest.peerDependencies ?? {}).map(([peer, range]) => ({ folder, manifest, peer, range }))
    : [],
)

/** The least version of each part of a range: `>=0.45.4 <0.46 || >=1.0.0-rc.5 <2` has two. */
function lowerBounds(range: string): readonly string[] {
  return range.split('||').map((part) => {
    const bound = /^>=(\S+) <\S+$/.exec(part.trim())?.[1]
    if (bound === undefined) throw new Error(`'${part.trim()}' is not of the form '>=a <b'`)
    return bound
  })
}

/** Under which names a package has this one for its tests: its own, and aliases such as `kysely-oldest`. */
function namesOf(peer: string, devDependencies: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(devDependencies)
    .filter(([name, specifier]) => name === peer || specifier.startsWith(`npm:${peer}@`))
    .map(([name]) => name)
}

interface Installed {
  readonly name: string
  readonly version: string
}

test('every adapter is looked at', () => {
  expect(adapters.map(({ peer }) => peer)).toEqual(['drizzle-orm', 'kysely', '@prisma/client'])
})

test.each(adapters)(
  '$folder is tested on the oldest $peer of each part of $range',
  ({ folder, manifest, peer, range }) => {
    const tests = files(`${folder}/test/**/*.ts`).map(read).join('\n')
    const names = namesOf(peer, manifest.devDependencies ?? {})
    const installed = names.map((name) => JSON.parse(read(`${folder}/node_modules/${name}/package.json`)) as Installed)
    const versions = installed.map(({ version }) => version)
    expect(versions).toEqual(expect.arrayContaining([...lowerBounds(range)]))
    // One that is installed beside the other is there to stand in its place in a test.
    for (const alias of names.filter((name) => name !== peer)) {
      expect(tests, `no test runs on ${alias}`).toContain(`vi.mock('${peer}', () => import('${alias}'))`)
    }
  },
)
