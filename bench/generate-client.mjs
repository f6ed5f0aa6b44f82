// Generates the Prisma client of schema.prisma, for the peers of Prisma.
//
// `prisma generate` wants to know where the schema engine is, and downloads one when it does not know. It does not run it:
// so any program will do in its place, and the one that is there for certain is this very Node.
import { execFileSync } from 'node:child_process'
import { createRequire } from 'node:module'

const prisma = createRequire(import.meta.url).resolve('prisma/build/index.js')
execFileSync(process.execPath, [prisma, 'generate', '--no-hints'], {
  cwd: import.meta.dirname,
  stdio: 'pipe',
  env: { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: process.execPath, CHECKPOINT_DISABLE: '1' },
})
