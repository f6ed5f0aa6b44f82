import type { OptionValues } from './check-options.js'
import type { ResolvedReplica } from './cluster/cluster-options.js'
import { connectSettings } from './connection-options.js'
import { InvalidOptionError } from './errors/invalid-option-error.js'
import { readConnectionString } from './read-connection-string.js'
import type { ConnectSettings } from './wire/connect-settings.js'

/** What is about the primary's place alone. */
const ofThePlace = ['connectionString', 'host', 'port', 'hostaddr', 'targetSessionAttrs', 'loadBalanceHosts'] as const

/**
 * How to connect to a replica: what its URL says, and for the rest what holds for the primary.
 *
 * @param values everything that was said of the pool
 * @throws InvalidOptionError for a URL that is none, or says what does not go together
 */
export function replicaSettings(
  values: OptionValues,
  { connectionString }: ResolvedReplica,
  index: number,
): ConnectSettings {
  const wanted = values.get('targetSessionAttrs')
  if (wanted !== undefined && !['any', 'read-write', 'primary'].includes(wanted as string)) {
    const allowed = "'any', 'read-write' or 'primary' beside replicas: read() chooses the replicas"
    throw new InvalidOptionError('targetSessionAttrs', JSON.stringify(wanted), allowed)
  }
  const all: OptionValues = new Map(values)
  for (const path of ofThePlace) all.delete(path)
  for (const [path, value] of readReplica(connectionString, index)) {
    // As for the primary: the URL's ssl is a text, and the option's is not.
    all.set(path === 'ssl' ? 'sslText' : path, value)
  }
  return connectSettings(all)
}

/** What is wrong with it is said by the name that it has here. */
function readReplica(connectionString: string, index: number): OptionValues {
  try {
    return readConnectionString(connectionString)
  } catch (error) {
    if (!(error instanceof InvalidOptionError)) throw error
    throw new InvalidOptionError(`replicas[${index}]`, 'not as it should be', error.message, { cause: error })
  }
}
