import { EventEmitter } from 'node:events'
import { expect, test } from 'vitest'
import { misfit } from '../../src/connection/connect/multi-host.js'
import type { TargetSessionAttrs } from '../../src/connection/connect/settings.js'
import { RoleReports } from '../../src/connection/server-role.js'

function reporting(inHotStandby?: string, readOnly?: string) {
  const wire = new EventEmitter()
  const reports = new RoleReports(wire)
  const report = (parameterName: string, parameterValue: string): void => {
    wire.emit('parameterStatus', { parameterName, parameterValue })
  }
  if (inHotStandby !== undefined) report('in_hot_standby', inHotStandby)
  if (readOnly !== undefined) report('default_transaction_read_only', readOnly)
  return { reports, report }
}

test('a server that says nothing has no role, and one that is asked has', () => {
  const { reports } = reporting()
  expect([reports.role, reports.isReadWrite]).toEqual(['unknown', undefined])
  reports.learn({ inHotStandby: true, defaultReadOnly: false })
  expect([reports.role, reports.isReadWrite]).toEqual(['standby', false])
})

test('a promotion is told, once, and the role at connect is none', () => {
  const { reports, report } = reporting()
  const seen: string[] = []
  const stop = reports.onChange((role) => seen.push(role))
  report('in_hot_standby', 'on')
  report('in_hot_standby', 'off')
  report('in_hot_standby', 'off')
  stop()
  report('in_hot_standby', 'on')
  expect(seen).toEqual(['primary'])
})

// The table of the manual: what each value takes, of a primary, a primary that is read-only by default, and a standby.
test.each<[TargetSessionAttrs, boolean, boolean, boolean]>([
  ['any', true, true, true],
  ['read-write', true, false, false],
  ['read-only', false, true, true],
  ['primary', true, true, false],
  ['standby', false, false, true],
  ['prefer-standby', false, false, true],
])('%s takes a primary: %s, a read-only primary: %s, a standby: %s', (wanted, ...expected) => {
  const servers = [reporting('off', 'off'), reporting('off', 'on'), reporting('on', 'off')]
  expect(servers.map(({ reports }) => misfit(reports, wanted) === undefined)).toEqual(expected)
})
