/** What is shown of a URL whose parts cannot be separated for sure. */
const hidden = 'a url that is not shown, as it may hold a password'

/**
 * A URL for messages: without its password, and without its parameters, which may hold one. Where an `@` follows the
 * host, a password was not encoded, and any part may be a piece of it.
 */
export function withoutSecrets(text: string): string {
  if (!URL.canParse(text)) return hidden
  const { protocol, username, password, host, pathname, search, hash } = new URL(text)
  if (`${pathname}${search}${hash}`.includes('@')) return hidden
  const user = password === '' ? username : `${username}:***`
  return `${protocol}//${user === '' ? '' : `${user}@`}${host}${pathname}${search === '' ? '' : '?***'}`
}

/** Lines of a server's log for messages: a server writes the whole value of a setting that has changed, such as primary_conninfo. */
export function logWithoutSecrets(lines: readonly string[]): readonly string[] {
  return lines.map((line) =>
    line
      .replace(/(password\s*=\s*)('(?:[^'\\]|\\.|'')*'|[^\s'"&]+)/gi, '$1***')
      .replace(/\b(password\s+)(E?'(?:[^'\\]|\\.|'')*')/gi, '$1***')
      .replace(/(postgres(?:ql)?:\/\/[^\s:/@]*:)\S*@/gi, '$1***@'),
  )
}
