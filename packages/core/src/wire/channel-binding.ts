import { InvalidOptionError } from '../errors/invalid-option-error.js'
import type { WireConnection } from './pg-internals.js'

/**
 * Ends a login that is not bound to the TLS connection it runs over, before a password is sent: somebody in the middle
 * could not be told from the server otherwise. `pg` binds where the server offers it, but does not insist.
 * https://www.postgresql.org/docs/18/sasl-authentication.html
 */
export function demandChannelBinding(wire: WireConnection): void {
  let isBound = false
  const refuse = (given: string): void => {
    wire.stream.destroy()
    const allowed = 'a server with TLS that logs in by scram-sha-256, or another channelBinding'
    wire.emit('error', new InvalidOptionError('channelBinding', `'require', and the server ${given}`, allowed))
  }
  wire.prependListener('authenticationSASL', ({ mechanisms }: { readonly mechanisms: readonly string[] }) => {
    if (mechanisms.includes('SCRAM-SHA-256-PLUS')) isBound = true
    else refuse('offers none')
  })
  wire.prependListener('authenticationMD5Password', () => refuse('logs in by md5'))
  wire.prependListener('authenticationCleartextPassword', () => refuse('asks for the password in the clear'))
  wire.prependListener('authenticationOk', () => {
    if (!isBound) refuse('asks for no password')
  })
}
