import { execFile } from 'node:child_process'
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, expect, test } from 'vitest'
import { files, packages, root } from '../support/workspace.js'

const run = promisify(execFile)
const changesetBin = join(root, 'node_modules/@changesets/cli/bin.js')
const made: string[] = []

afterEach(() => Promise.all(made.splice(0).map((folder) => rm(folder, { recursive: true, force: true }))))

/** A repository with the changesets and the manifests of this one, whatever branch and clone this one is. */
async function copy(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'lifeguard-release-'))
  made.push(folder)
  const wanted = files('.changeset/*', 'package.json', 'pnpm-workspace.yaml', '{packages,apps}/*/package.json')
  for (const path of [...wanted, ...files('{test,bench}/package.json')]) {
    await cp(join(root, path), join(folder, path), { recursive: true })
  }
  // The branch that .changeset/config.json names as the base; nothing asks for who commits.
  await run('git', ['init', '--quiet', '--initial-branch', 'main'], { cwd: folder })
  await run('git', ['add', '--all'], { cwd: folder })
  const identity = ['-c', 'user.name=test', '-c', 'user.email=test@localhost', '-c', 'commit.gpgsign=false']
  await run('git', [...identity, 'commit', '--quiet', '--message', 'all'], { cwd: folder })
  return folder
}

/** What it says goes to standard output, why it failed as well. */
async function changeset(folder: string, ...args: string[]): Promise<void> {
  try {
    await run(process.execPath, [changesetBin, ...args], { cwd: folder, env: { ...process.env, CI: 'true' } })
  } catch (error) {
    throw new Error(`changeset ${args.join(' ')}: ${(error as { readonly stdout?: string }).stdout}`, { cause: error })
  }
}

interface Plan {
  readonly changesets: readonly {
    readonly id: string
    readonly summary: string
    readonly releases: readonly unknown[]
  }[]
  readonly releases: readonly { readonly name: string; readonly type: string }[]
}

async function planOf(folder: string): Promise<Plan> {
  await changeset(folder, 'status', '--output', 'plan.json')
  return JSON.parse(await readFile(join(folder, 'plan.json'), 'utf8')) as Plan
}

const published = packages().filter(({ manifest }) => manifest.private !== true)

test('every changeset can be read, says something, and is of a package that is published', async () => {
  const plan = await planOf(await copy())
  const written = files('.changeset/*.md')
    .map((path) => path.slice('.changeset/'.length, -'.md'.length))
    .sort()
  expect(plan.changesets.map(({ id }) => id).sort()).toEqual(written)
  for (const { id, summary, releases } of plan.changesets) {
    expect(releases, `${id} releases nothing`).not.toEqual([])
    expect(summary, `${id} says nothing`).toMatch(/\S/)
    // What a formatter makes of front matter that it takes for a heading.
    expect(summary, `${id} has its front matter in its text`).not.toMatch(
      /^(#+ )?["']?@pg-lifeguard\/\S+: (patch|minor|major)/,
    )
  }
  const names = published.map(({ manifest }) => manifest.name)
  for (const { name } of plan.releases.filter(({ type }) => type !== 'none')) expect(names).toContain(name)
}, 60_000)

test('a changeset that was formatted as Markdown is found', async () => {
  const folder = await copy()
  await writeFile(join(folder, '.changeset/formatted.md'), "---\n\n## '@pg-lifeguard/core': patch\n\nText.\n")
  await expect(planOf(folder)).rejects.toThrow(/could not parse changeset/)
}, 60_000)

test('a release can be made of them: each package that changes gets its change log', async () => {
  const folder = await copy()
  const { releases } = await planOf(folder)
  await changeset(folder, 'version')
  const released = new Set(releases.filter(({ type }) => type !== 'none').map(({ name }) => name))
  for (const { folder: of, manifest } of published.filter((one) => released.has(one.manifest.name))) {
    const log = await readFile(join(folder, of, 'CHANGELOG.md'), 'utf8')
    const { version } = JSON.parse(await readFile(join(folder, of, 'package.json'), 'utf8')) as { version: string }
    expect(log).toMatch(new RegExp(`^# ${manifest.name}\n\n## ${version.replaceAll('.', '\\.')}\n`))
  }
  expect(
    (await readdir(join(folder, dirname('.changeset/config.json')))).filter((name) => name.endsWith('.md')),
  ).toEqual([])
}, 60_000)
