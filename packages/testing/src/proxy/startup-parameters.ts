/**
 * The parameters of a StartupMessage: pairs of NUL-terminated strings after the protocol version, and a NUL.
 * `body` starts at the version.
 */
export function startupParameters(body: Buffer): ReadonlyMap<string, string> {
  const words = body.toString('utf8', 4).split('\0')
  const parameters = new Map<string, string>()
  for (let at = 0; at + 1 < words.length; at += 2) {
    const name = words[at]
    if (name === undefined || name === '') break
    parameters.set(name, words[at + 1] ?? '')
  }
  return parameters
}
