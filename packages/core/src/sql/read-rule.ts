import { longestRead } from './read-only.js'
import { RecentTexts, sqlText } from './sql-text.js'

/**
 * Functions of PostgreSQL that a replica may run in place of the primary: they change nothing, lock nothing, and give
 * what they would give there. A few give something else at every call (random, clock_timestamp), wherever they run.
 * Anything that begins with `pg_`, sequences, large objects, settings and advisory locks are left out on purpose.
 * https://www.postgresql.org/docs/18/functions.html
 */
const names = `
  array_agg avg bit_and bit_or bit_xor bool_and bool_or any_value count every json_agg json_agg_strict jsonb_agg
  jsonb_agg_strict json_object_agg jsonb_object_agg max min range_agg range_intersect_agg string_agg sum xmlagg
  corr covar_pop covar_samp regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy
  stddev stddev_pop stddev_samp variance var_pop var_samp mode percentile_cont percentile_disc
  row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value grouping
  coalesce nullif greatest least cast row num_nonnulls num_nulls
  abs cbrt ceil ceiling degrees div erf erfc exp factorial floor gamma gcd lcm lgamma ln log log10 min_scale mod pi power
  radians round scale sign sqrt trim_scale trunc width_bucket random random_normal
  acos acosd asin asind atan atand atan2 atan2d cos cosd cot cotd sin sind tan tand sinh cosh tanh asinh acosh atanh
  ascii bit_length btrim char_length character_length chr concat concat_ws format initcap left length lower lpad ltrim
  md5 normalize octet_length overlay position quote_ident quote_literal quote_nullable regexp_count regexp_instr
  regexp_like regexp_match regexp_matches regexp_replace regexp_split_to_array regexp_split_to_table regexp_substr
  repeat replace reverse right rpad rtrim split_part starts_with string_to_array string_to_table strpos substr substring
  to_ascii to_bin to_hex to_oct translate trim unistr upper casefold
  bit_count get_bit get_byte set_bit set_byte sha224 sha256 sha384 sha512 encode decode convert convert_from convert_to
  crc32 crc32c
  to_char to_date to_number to_timestamp
  age clock_timestamp date_add date_bin date_part date_subtract date_trunc extract isfinite justify_days justify_hours
  justify_interval make_date make_interval make_time make_timestamp make_timestamptz now statement_timestamp timeofday
  transaction_timestamp timezone
  enum_first enum_last enum_range
  area center diagonal diameter height isclosed isopen npoints path pclose point popen radius slope width box circle
  line lseg polygon bound_box
  abbrev broadcast family host hostmask inet_merge inet_same_family masklen netmask network set_masklen text
  macaddr8_set7bit
  array_to_tsvector numnode plainto_tsquery phraseto_tsquery querytree setweight strip to_tsquery to_tsvector
  json_to_tsvector jsonb_to_tsvector ts_delete ts_filter ts_headline ts_rank ts_rank_cd tsquery_phrase
  tsvector_to_array websearch_to_tsquery
  gen_random_uuid uuidv4 uuidv7 uuid_extract_timestamp uuid_extract_version
  array_to_json json_array json_array_elements json_array_elements_text json_array_length json_arrayagg json_build_array
  json_build_object json_each json_each_text json_exists json_extract_path json_extract_path_text json_object
  json_object_keys json_objectagg json_populate_record json_populate_recordset json_query json_scalar json_serialize
  json_strip_nulls json_table json_to_record json_to_recordset json_typeof json_value row_to_json to_json to_jsonb
  jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each
  jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_insert jsonb_object jsonb_object_keys jsonb_path_exists
  jsonb_path_match jsonb_path_query jsonb_path_query_array jsonb_path_query_first jsonb_populate_record
  jsonb_populate_recordset jsonb_pretty jsonb_set jsonb_set_lax jsonb_strip_nulls jsonb_to_record jsonb_to_recordset
  jsonb_typeof
  array_append array_cat array_dims array_fill array_length array_lower array_ndims array_position array_positions
  array_prepend array_remove array_replace array_reverse array_sample array_shuffle array_sort array_to_string array_upper
  cardinality trim_array unnest
  isempty lower_inc lower_inf upper_inc upper_inf range_merge multirange int4range int8range numrange tsrange tstzrange
  daterange int4multirange int8multirange nummultirange tsmultirange tstzmultirange datemultirange
  generate_series generate_subscripts
  bit bpchar char character dec decimal float interval numeric time timestamp timestamptz timetz varbit varchar varying
  date int4 int8 float8 json jsonb
`

/** See {@link names}. */
export const readFunctionNames: readonly string[] = names.trim().split(/\s+/)

/**
 * Functions that say something about the server or the session that is asked. A replica would give another answer, but they change
 * nothing, so that the same server may be asked twice.
 */
const sameServer = `
  pg_sleep pg_sleep_for pg_sleep_until pg_backend_pid pg_typeof pg_is_in_recovery pg_postmaster_start_time pg_conf_load_time
  pg_column_size pg_relation_size pg_table_size pg_indexes_size pg_total_relation_size pg_database_size
  pg_tablespace_size pg_size_pretty pg_size_bytes pg_blocking_pids pg_current_wal_lsn pg_current_wal_insert_lsn
  pg_last_wal_replay_lsn pg_wal_lsn_diff pg_get_constraintdef pg_get_expr pg_get_functiondef pg_get_indexdef
  pg_get_ruledef pg_get_serial_sequence pg_get_triggerdef pg_get_userbyid pg_get_viewdef pg_table_is_visible
  pg_type_is_visible pg_function_is_visible pg_encoding_to_char
  current_database current_schema current_schemas current_setting version format_type obj_description col_description
  to_regclass to_regnamespace to_regproc to_regprocedure to_regrole to_regtype inet_server_addr inet_server_port
  has_any_column_privilege has_column_privilege has_database_privilege has_function_privilege has_schema_privilege
  has_sequence_privilege has_table_privilege has_type_privilege pg_has_role
`

/** See {@link sameServer}. */
const sameServerFunctionNames: readonly string[] = sameServer.trim().split(/\s+/)

/** Names of functions and tables that make an exception to the rule: see the options of the same names. */
export interface ReadExceptions {
  /** Functions that change nothing. */
  readonly readFunctions?: readonly string[] | undefined
  /** What keeps a statement on the primary. */
  readonly primaryOnly?: readonly string[] | undefined
}

/** What a rule says of one SQL text. */
interface Decision {
  readonly text: string
  isAllowed: boolean
}

/** How many SQL texts a rule remembers, in each of two generations. */
const mostTexts = 1_000

/**
 * Says, by the SQL text alone, whether a statement may run on a replica. It errs to one side: what it does not understand
 * belongs to the primary. What it cannot see (what a view, an operator, a cast or a policy calls, and a function of a row
 * that is written as a column of it) is left to the server, which refuses every change on a replica.
 *
 * What an SQL text reads is found once, whoever asks. A rule remembers what its own exceptions and the servers say of it.
 */
export class ReadRule {
  readonly #functions: ReadonlySet<string>
  readonly #primaryOnly: ReadonlySet<string>
  readonly #isSameServer: boolean
  readonly #decisions: RecentTexts<Decision>

  /**
   * @param where `same-server`: the rule for a read that is sent once more to the server that it was sent to before, which
   * may therefore ask that server about itself
   */
  constructor({ readFunctions = [], primaryOnly = [] }: ReadExceptions = {}, where?: 'same-server') {
    this.#isSameServer = where === 'same-server'
    this.#primaryOnly = new Set(primaryOnly)
    const own = this.#isSameServer ? [...readFunctionNames, ...sameServerFunctionNames] : readFunctionNames
    this.#functions = new Set([...own, ...readFunctions].filter((name) => !this.#primaryOnly.has(name)))
    const decide = (text: string): Decision => ({ text, isAllowed: this.#decide(text) })
    this.#decisions = new RecentTexts(decide, mostTexts, longestRead)
  }

  /** Whether the text is one statement that only reads. Remembered for each text. */
  allows(text: string): boolean {
    return text.length <= longestRead && this.#decisions.of(text).isAllowed
  }

  /** A server has refused the text on a replica: from here on it belongs to the primary. */
  refuse(text: string): void {
    this.#decisions.of(text).isAllowed = false
  }

  #decide(text: string): boolean {
    const { reading } = sqlText(text)
    if (reading === undefined) return false
    const { calls, names, isAbout } = reading
    if (isAbout !== 'data' && !(this.#isSameServer && isAbout === 'server')) return false
    for (const name of this.#primaryOnly) if (names.has(name)) return false
    return calls.every((name) => this.#functions.has(name) || this.#isCallOfOurs(name))
  }

  #isCallOfOurs(name: string): boolean {
    return name.startsWith('pg_catalog.') && this.#functions.has(name.slice('pg_catalog.'.length))
  }
}

const standard = new ReadRule()

/**
 * Whether an SQL text is one statement that only reads, by the rule of a pool without `readFunctions` and `primaryOnly`: for
 * adapters and for tests. Unknown means no.
 */
export function isReadOnlyText(text: string): boolean {
  return standard.allows(text)
}
