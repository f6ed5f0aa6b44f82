import { InvalidArgumentError } from '../../errors/lifeguard-error.js'

/** One parameter of a connection string, under libpq's name for it. */
export interface GivenParameter {
  readonly name: string
  readonly value: string
  /** From the front of a URL, where a password that was not encoded may have ended up anywhere: never shown. */
  readonly isHidden?: boolean
}

/** What a connection string says. */
export interface ParsedConnectionString {
  readonly parameters: readonly GivenParameter[]
  /** False when names and values may be pieces of a password that was not encoded: then none is shown in a message. */
  readonly mayShow: boolean
}

const allowed = 'postgres://user:password@host:port/database?parameter=value, with % before special characters'

/** What is wrong is said without showing any of the string, which may hold a password. */
function refuse(what: string): InvalidArgumentError {
  return new InvalidArgumentError('connectionString', what, allowed)
}

/**
 * Takes a connection string apart: a URL with one or several hosts, `key=value` pairs, or the path of a Unix socket.
 * https://www.postgresql.org/docs/18/libpq-connect.html#LIBPQ-CONNSTRING
 *
 * @throws InvalidArgumentError, which shows nothing of the string
 */
export function parseConnectionString(given: string): ParsedConnectionString {
  // From a file or a variable, a line end often comes along; URLs are taken without, also by `pg`.
  const text = given.trim()
  // What stands before :// has no case, and `pg` takes pg:// as well.
  if (/^(?:postgres(?:ql)?|pg):\/\//i.test(text)) return parseUrl(text.slice(text.indexOf('//') + 2))
  if (text.startsWith('socket:')) return parseSocketUrl(text.slice('socket:'.length))
  // Two slashes are a URL that has lost its scheme, and may hold a password.
  if (text.startsWith('/') && !text.startsWith('//')) return parseSocketPath(text)
  const scheme = /^(?:jdbc:)?[a-z][a-z0-9+.-]{0,20}(?=:\/\/)/i.exec(text)?.[0]
  if (scheme !== undefined) throw refuse(`not a URL of PostgreSQL (its scheme is ${scheme})`)
  if (/^\s*[a-z_]+\s*=/.test(text)) return parsePairs(given)
  if (/^["'`]/.test(text)) throw refuse('in quotes, which are not part of it')
  throw refuse('not a URL')
}

function parseUrl(rest: string): ParsedConnectionString {
  const [before, query] = splitAt(rest, rest.indexOf('?'))
  const [authority, path] = splitAt(before, before.indexOf('/'))
  if (path?.includes('@') === true) throw refuse('a URL with a / or an @ in a name or password, unencoded')
  // The last one: a password with an @ of its own has always been understood by WHATWG URLs.
  const at = authority.lastIndexOf('@')
  const parameters: GivenParameter[] = []
  const password = addCredentials(at === -1 ? undefined : authority.slice(0, at), parameters)
  const hosts = authority.slice(at + 1)
  addHosts(hosts, parameters)
  addHidden('dbname', path, parameters)
  addQuery(query, parameters)
  // Without an @, a colon with nothing after it is where a password with a ? was cut.
  const mayBeCut = at === -1 ? authority.endsWith(':') : startsAsPassword(password, hosts)
  return { parameters, mayShow: query?.includes('@') !== true && !mayBeCut && !saysPassword(query) }
}

/** `user:password`; returns the password as it stands there. */
function addCredentials(text: string | undefined, parameters: GivenParameter[]): string | undefined {
  if (text === undefined) return undefined
  const [user, password] = splitAt(text, text.indexOf(':'))
  addHidden('user', user, parameters)
  addHidden('password', password, parameters)
  return password
}

function addHidden(name: string, value: string | undefined, parameters: GivenParameter[]): void {
  if (value !== undefined && value !== '') parameters.push({ name, value: decode(value), isHidden: true })
}

function addHosts(list: string, parameters: GivenParameter[]): void {
  if (list === '') return
  const hosts: string[] = []
  const ports: string[] = []
  for (const one of list.split(',')) {
    const [, bracketed, named = '', port = ''] = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d*))?$/.exec(one) ?? [
      undefined,
      '\0',
    ]
    if (bracketed === '\0') throw refuse('a URL with a host or port that is none')
    hosts.push(decode(bracketed ?? named))
    ports.push(port)
  }
  if (hosts.some((host) => host !== '')) parameters.push({ name: 'host', value: hosts.join(','), isHidden: true })
  if (ports.some((port) => port !== '')) parameters.push({ name: 'port', value: ports.join(','), isHidden: true })
}

function addQuery(query: string | undefined, parameters: GivenParameter[]): void {
  if (query === undefined || query === '') return
  for (const pair of query.split('&')) {
    const [name, value] = splitAt(pair, pair.indexOf('='))
    if (value === undefined) throw refuse('a URL with a parameter that has no =')
    parameters.push({ name: decode(name), value: decode(value) })
  }
}

/** Whether a password is among the parameters: what is after an & in it, unencoded, looks like one more. */
function saysPassword(query: string | undefined): boolean {
  return query?.split('&').some((pair) => isPassword(decode(splitAt(pair, pair.indexOf('='))[0]))) === true
}

function isPassword(name: string): boolean {
  return /password|passwd|pwd/i.test(name)
}

/** Whether an @ may be of the password itself: nothing is before it, or no host is after it. */
function startsAsPassword(password: string | undefined, behind: string): boolean {
  return password === '' || (password !== undefined && (behind === '' || behind.startsWith(':')))
}

/** `socket:/folder?db=name`, as `pg` has it. */
function parseSocketUrl(rest: string): ParsedConnectionString {
  const [place, query] = splitAt(rest, rest.indexOf('?'))
  const [, credentials, folder] = /^(?:\/\/(?:([^/]*)@)?)?(\/[^/].*)$/.exec(place) ?? []
  if (folder === undefined) throw refuse('not a URL of a Unix socket')
  const parameters: GivenParameter[] = [{ name: 'host', value: decode(folder), isHidden: true }]
  const password = addCredentials(credentials, parameters)
  const first = parameters.length
  addQuery(query, parameters)
  const renamed = parameters.map((one, at) => (at >= first && one.name === 'db' ? { ...one, name: 'dbname' } : one))
  return { parameters: renamed, mayShow: query?.includes('@') !== true && password !== '' && !saysPassword(query) }
}

/** `/folder name`, as `pg` has it. */
function parseSocketPath(text: string): ParsedConnectionString {
  const [folder, database] = splitAt(text, text.indexOf(' '))
  const parameters: GivenParameter[] = [{ name: 'host', value: folder }]
  if (database !== undefined && database !== '') parameters.push({ name: 'dbname', value: database })
  return { parameters, mayShow: false }
}

/** `host=a,b port=1 dbname=x password='it''s'`: a backslash takes the next character as it is, quotes hold spaces. */
function parsePairs(text: string): ParsedConnectionString {
  const parameters: GivenParameter[] = []
  const pair = /\s*([^\s=]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'(?=\s|$)|((?:[^\s'\\]|\\.)(?:[^\s\\]|\\.)*)?(?=\s|$))/suy
  while (text.slice(pair.lastIndex).trim() !== '') {
    const found = pair.exec(text)
    if (found === null) throw refuse('not pairs of key=value, in which a value with spaces is quoted')
    const [, name = '', quoted, bare] = found
    parameters.push({ name, value: (quoted ?? bare ?? '').replace(/\\(.)/gsu, '$1') })
  }
  // The rest of a password with a space in it looks like one more pair.
  return { parameters, mayShow: !parameters.some(({ name }) => isPassword(name)) }
}

function splitAt(text: string, at: number): [string, string | undefined] {
  return at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)]
}

function decode(text: string): string {
  try {
    const decoded = decodeURIComponent(text)
    if (!decoded.includes('\0')) return decoded
  } catch {
    // The error of decodeURIComponent says no more, and its text must not be shown.
  }
  throw refuse('a URL with a % that does not stand for a character')
}
