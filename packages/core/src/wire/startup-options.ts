/** Runtime parameters by name. */
export type RuntimeSettings = Readonly<Record<string, string | number | boolean>>

/**
 * Switches for the startup packet: those of the user first, then `-c name=value` for each setting, where a backslash
 * escapes what would end the argument. Undefined when there are none.
 * https://www.postgresql.org/docs/18/libpq-connect.html#LIBPQ-CONNECT-OPTIONS
 */
export function startupOptions(given: string | undefined, settings: RuntimeSettings): string | undefined {
  const switches = Object.entries(settings).map(([name, value]) => `-c ${escaped(`${name}=${value}`)}`)
  if (given !== undefined && given !== '') switches.unshift(given)
  return switches.length === 0 ? undefined : switches.join(' ')
}

function escaped(text: string): string {
  return text.replace(/[\\\s]/g, '\\$&')
}
