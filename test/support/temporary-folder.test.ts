import { expect, test } from 'vitest'
import { runsPrograms } from './temporary-folder.js'

const mount = (type: string, options: string): string =>
  `/dev/vda / ext4 rw 0 0\ntmpfs /dev/shm tmpfs rw,noexec 0 0\n${type} /dev/shm ${type} ${options} 0 0\n`

test.each([
  ['tmpfs', 'rw,nosuid,nodev', true],
  ['tmpfs', 'rw,nosuid,nodev,noexec', false],
  ['tmpfs', 'ro', false],
  ['ext4', 'rw', false],
])('a folder on %s with %s holds programs that run: %j', (type, options, expected) => {
  expect(runsPrograms(mount(type, options))).toBe(expected)
})

test('without /dev/shm there is no folder in memory', () => {
  expect(runsPrograms('/dev/vda / ext4 rw 0 0\n')).toBe(false)
})
