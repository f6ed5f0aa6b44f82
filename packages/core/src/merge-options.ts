import type { OptionValues } from './check-options.js'
import { InvalidOptionError } from './errors/invalid-option-error.js'
import { isSame, readConnectionString, readEnvironment } from './read-connection-string.js'

/** What must not come from the environment when `other` was said: it would be about something else. */
const goesWith: Readonly<Record<string, readonly string[]>> = {
  // An address is that of a host.
  hostaddr: ['host'],
  // The option ssl is all that is to be said of TLS, and so is a URL's ssl.
  sslmode: ['ssl', 'sslText'],
  sslrootcert: ['ssl', 'sslText'],
  sslcert: ['ssl', 'sslText'],
  sslkey: ['ssl', 'sslText'],
  ssl_min_protocol_version: ['ssl'],
  ssl_max_protocol_version: ['ssl'],
}

/**
 * Adds to the fields what the connection string says, and to both what the environment says of the rest. Fields and
 * connection string stand side by side: neither can be what the user did not mean, so a difference is an error.
 *
 * @throws InvalidOptionError
 */
export function mergeOptions(fields: OptionValues, environment: NodeJS.ProcessEnv): OptionValues {
  const values: OptionValues = new Map(fields)
  const connectionString = fields.get('connectionString')
  if (connectionString !== undefined) {
    for (const [path, value] of readConnectionString(connectionString as string)) {
      // The URL's ssl is a text, and the option's is not; what they say together is settled where TLS is.
      const key = path === 'ssl' ? 'sslText' : path
      if (values.has(key) && !isSame(values.get(key), value)) {
        throw new InvalidOptionError(path, 'one thing in the options and another in connectionString', 'one of them')
      }
      values.set(key, value)
    }
  }
  const said = new Set(values.keys())
  for (const [path, value] of readEnvironment(environment)) {
    if (said.has(path) || goesWith[path]?.some((other) => said.has(other)) === true) continue
    values.set(path, value)
  }
  return values
}
