import { inSmallLetters } from './tokens.js'

/** Settings that are not looked at while a text is parsed or planned, or that cost no more than a better plan. */
const harmless: ReadonlySet<string> = new Set(
  `application_name autocommit characteristics client_min_messages commit_delay commit_siblings constraints
  cpu_tuple_cost cursor_tuple_fraction deadlock_timeout default_statistics_target default_transaction_deferrable
  default_transaction_isolation default_transaction_read_only effective_cache_size effective_io_concurrency
  force_parallel_mode hash_mem_multiplier idle_in_transaction_session_timeout idle_session_timeout jit lock_timeout
  logical_decoding_work_mem maintenance_work_mem max_parallel_maintenance_workers max_parallel_workers
  max_parallel_workers_per_gather plan_cache_mode random_page_cost row_security seq_page_cost statement_timeout
  synchronous_commit temp_buffers temp_file_limit temp_tablespaces transaction transaction_deferrable
  transaction_isolation transaction_read_only transaction_timeout vacuum_cost_delay vacuum_cost_limit work_mem`
    .trim()
    .split(/\s+/),
)
const harmlessKinds = ['enable_', 'log_', 'track_', 'geqo_', 'debug_']

/** Whether statements may mean something else under another value of this setting. Those of extensions are for them. */
export function settingMatters(name: string): boolean {
  const small = inSmallLetters(name)
  return !(small.includes('.') || harmless.has(small) || harmlessKinds.some((kind) => small.startsWith(kind)))
}
