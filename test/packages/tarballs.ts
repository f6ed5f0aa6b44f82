import { execFile } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { read, root } from '../support/workspace.js'

const run = promisify(execFile)

/** npm and pnpm would leave a cache of their own code in the temp folder. */
const env = { ...process.env, NODE_DISABLE_COMPILE_CACHE: '1' }

/** Runs a program to its end; when it fails, the error has all that it said. */
export async function output(
  program: string,
  args: readonly string[],
  cwd: string,
  more: Readonly<Record<string, string>> = {},
): Promise<string> {
  try {
    const { stdout } = await run(program, args, { cwd, env: { ...env, ...more }, maxBuffer: 64 * 1024 * 1024 })
    return stdout
  } catch (error) {
    const { message, stdout } = error as Error & { readonly stdout?: string }
    throw new Error(`${message}\n${stdout ?? ''}`, { cause: error })
  }
}

/** Runs pnpm, in the version that the README names. */
export async function pnpm(args: readonly string[], cwd: string): Promise<string> {
  return await output('npx', ['-y', 'pnpm@12', ...args], cwd)
}

/** Where pnpm keeps the packages of this repository; it adds its version to the folder by itself. */
export function storeOfPackages(): string {
  const { storeDir } = JSON.parse(read('node_modules/.modules.yaml')) as { readonly storeDir: string }
  return dirname(storeDir)
}

/** Packs every public package into `folder`. */
export async function packAll(folder: string): Promise<string[]> {
  await pnpm(['-r', '--filter', './packages/*', 'pack', '--pack-destination', folder], root)
  return (await readdir(folder)).filter((name) => name.endsWith('.tgz')).map((name) => join(folder, name))
}

/** The files in a tarball, by their path in the package. */
export async function contentsOf(tarball: string, folder: string): Promise<string[]> {
  await output('tar', ['xzf', tarball, '-C', folder, '--strip-components=1'], folder)
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) =>
      join(entry.parentPath, entry.name)
        .slice(folder.length + 1)
        .replaceAll('\\', '/'),
    )
    .sort()
}
