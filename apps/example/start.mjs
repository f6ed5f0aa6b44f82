// Builds what the demos need, without a word unless that fails, and runs them in this process.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const build = ['run', 'build', '--filter=@pg-lifeguard/example', '--output-logs=errors-only', '--no-update-notifier']

if (process.stderr.isTTY) process.stderr.write('  building; the first time takes half a minute ...')
// turbo builds what has changed alone. On Windows it is a .cmd, which only a shell can start.
const turbo = spawn('turbo', build, {
  cwd: root,
  env: { ...process.env, TURBO_TELEMETRY_DISABLED: '1' },
  stdio: ['ignore', 'pipe', 'pipe'],
  shell: process.platform === 'win32',
})
const said = []
for (const stream of [turbo.stdout, turbo.stderr]) stream.on('data', (chunk) => said.push(chunk))
const [code] = await once(turbo, 'close')
if (process.stderr.isTTY) process.stderr.write('\r\u001b[2K')
if (code === 0) {
  await import('./dist/main.js')
} else {
  process.stderr.write(Buffer.concat(said))
  process.stderr.write('lifeguard demo: the build failed\n')
  process.exitCode = 1
}
