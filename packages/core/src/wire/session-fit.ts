import type { TargetSessionAttrs } from './connect-settings.js'
import type { RoleReports } from './server-role.js'

/**
 * Why a session is not what was asked for, for messages; undefined when it is, or when the server has not said enough.
 * https://www.postgresql.org/docs/18/libpq-connect.html#LIBPQ-CONNECT-TARGET-SESSION-ATTRS
 */
export function misfit(reports: RoleReports, wanted: TargetSessionAttrs): string | undefined {
  const { role, isReadWrite } = reports
  switch (wanted) {
    case 'any':
      return undefined
    case 'read-write':
      return isReadWrite === false ? `is read-only (${role})` : undefined
    case 'read-only':
      return isReadWrite === true ? 'is read-write' : undefined
    case 'primary':
      return role === 'standby' ? 'is a standby' : undefined
    case 'standby':
    case 'prefer-standby':
      return role === 'primary' ? 'is a primary' : undefined
  }
}
