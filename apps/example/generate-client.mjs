// Generates the Prisma client of schema.prisma and compiles it to generated/js; nothing to do while the schema is the
// same.
//
// `prisma generate` wants to know where the schema engine is, and downloads one when it does not know. It does not run it:
// so any program will do in its place, and the one that is there for certain is this very Node.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'

const here = import.meta.dirname
const require = createRequire(import.meta.url)
const inputs = ['schema.prisma', 'prisma.config.ts', 'generate-client.mjs', 'tsconfig.generated.json', 'package.json']
const hash = createHash('sha256')
for (const input of inputs) hash.update(readFileSync(path.join(here, input)))
const made = hash.digest('hex')
const stamp = path.join(here, 'generated/made-from')

if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== made) {
  rmSync(path.join(here, 'generated'), { recursive: true, force: true })
  run('prisma/build/index.js', ['generate', '--no-hints'])
  run(path.join(path.dirname(require.resolve('typescript/package.json')), 'bin/tsc'), ['-p', 'tsconfig.generated.json'])
  writeFileSync(stamp, made)
}

function run(script, args) {
  try {
    execFileSync(process.execPath, [require.resolve(script), ...args], {
      cwd: here,
      stdio: 'pipe',
      env: { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: process.execPath, CHECKPOINT_DISABLE: '1' },
    })
  } catch (error) {
    // tsc complains on stdout, prisma on stderr.
    process.stderr.write(`${error.stdout ?? ''}${error.stderr ?? ''}`)
    throw error
  }
}
