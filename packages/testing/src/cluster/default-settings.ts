/**
 * What the servers run with, unless `settings` says otherwise. Nothing here changes what a commit, a lock or an
 * isolation level means: a test that passes here must not pass because of a setting.
 */
export const defaultSettings: Readonly<Record<string, string>> = {
  // Only this machine, only TCP: one way in, and always with a password.
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',

  // The one big saving: nothing waits for the disk. Safe as long as the operating system stays up, which outlives
  // kill(): what was written is in its page cache.
  fsync: 'off',
  // Not touched, although `off` would be faster: commits must mean what they mean in production.
  synchronous_commit: 'on',
  // Not touched either: SIGKILL can tear an 8 kB write between two 4 kB pages, and kill() is there to be used.
  full_page_writes: 'on',

  // Room for pools under stress, and for several test files at once.
  max_connections: '200',
  // PREPARE TRANSACTION works (the default of 0 switches it off).
  max_prepared_transactions: '20',
  // Small: test data fits, and the start is quicker.
  shared_buffers: '32MB',
  huge_pages: 'off',
  // Files in the data folder instead of /dev/shm: they go away with the folder, also after kill(), and small
  // containers have only 64 MB of /dev/shm.
  dynamic_shared_memory_type: 'mmap',

  // What streaming replicas need, on every server, so that each can become the primary.
  wal_level: 'replica',
  hot_standby: 'on',
  max_wal_senders: '16',
  // A replica that was paused or stopped for long still finds the WAL it missed.
  wal_keep_size: '512MB',
  // A replica that lost its primary looks again after 100 ms instead of 5 s.
  wal_retrieve_retry_interval: '100ms',
  // No compilation pauses in the middle of a test with a deadline.
  jit: 'off',

  // Reproducible output, whatever the machine's locale and time zone.
  timezone: 'UTC',
  log_timezone: 'UTC',
  lc_messages: 'C',
  // The log goes to standard error, where the keeper reads it; %a names the session that a line is about.
  logging_collector: 'off',
  log_destination: 'stderr',
  log_line_prefix: '%m [%p] %q%a ',
}

/** Settings that would break what the cluster itself relies on; there is an option or nothing instead. */
const refused: Readonly<Record<string, string>> = {
  port: 'use the option `port`',
  data_directory: 'the cluster makes its own folder',
  primary_conninfo: 'the cluster wires its own replicas',
}

/**
 * Checks and stringifies what the user gave.
 *
 * @throws RangeError naming the option, the value and what is allowed.
 */
export function parseSettings(
  option: string,
  settings: Readonly<Record<string, string | number | boolean>>,
): Record<string, string> {
  const parsed: Record<string, string> = {}
  for (const [name, value] of Object.entries(settings)) {
    const reason = refused[name.toLowerCase()]
    if (reason !== undefined) throw new RangeError(`${option}.${name} cannot be set: ${reason}`)
    if (!/^[a-z_][a-z0-9_.]*$/i.test(name)) {
      throw new RangeError(`${option} has ${JSON.stringify(name)}, which is not the name of a PostgreSQL setting`)
    }
    parsed[name] = typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value)
  }
  return parsed
}

/** The lines for postgresql.conf; the last of two lines for one setting wins there. */
export function renderSettings(...layers: readonly Readonly<Record<string, string>>[]): string {
  const quote = (value: string) => value.replaceAll('\\', '\\\\').replaceAll("'", "''").replaceAll('\n', '\\n')
  const merged = Object.assign({}, ...layers) as Record<string, string>
  return Object.entries(merged)
    .map(([name, value]) => `${name} = '${quote(value)}'\n`)
    .join('')
}
