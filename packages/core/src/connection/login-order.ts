import { ProtocolViolationError } from '../errors/operation-errors.js'
import { LoginError } from '../errors/pool-errors.js'
import type { ServerMessage } from './message-reader.js'
import type { ClientInternals } from './pg-internals.js'

type Step = 'asked' | 'password' | 'sasl' | 'continued' | 'verified' | 'authenticated' | 'open'

/** What may come in any step. */
const always: ReadonlySet<string> = new Set(['error', 'notice', 'parameterStatus'])
const plus = 'SCRAM-SHA-256-PLUS'

/**
 * Holds a login to the order of its messages, before `pg` gets to see them: it takes the end of a login for granted that
 * was never begun. With `channelBinding: 'require'` a login counts only once the server's own signature has been verified
 * over the TLS connection that it is bound to; no password, and no proof of one, is sent to a server that does otherwise.
 *
 * https://www.postgresql.org/docs/18/sasl-authentication.html
 */
export class LoginOrder {
  readonly #client: ClientInternals
  readonly #isBindingRequired: boolean
  #step: Step = 'asked'
  #hasKey = false

  constructor(client: ClientInternals, isBindingRequired: boolean) {
    this.#client = client
    this.#isBindingRequired = isBindingRequired
  }

  /** Whether the session is there. */
  get isOver(): boolean {
    return this.#step === 'open'
  }

  /** @throws InvalidArgumentError where the channel is not bound as it must be; ProtocolViolationError out of order */
  before({ name, ...rest }: ServerMessage): void {
    if (always.has(name)) return
    const step = this.#step
    switch (name) {
      case 'authenticationSASL':
        this.#expect(step === 'asked', name)
        if (this.#isBindingRequired) this.#demandPlus(rest as { readonly mechanisms?: readonly string[] })
        this.#step = 'sasl'
        return
      case 'authenticationSASLContinue':
        this.#expect(step === 'sasl' && this.#client.saslSession?.message === 'SASLInitialResponse', name)
        this.#step = 'continued'
        return
      case 'authenticationSASLFinal': {
        const session = this.#client.saslSession
        this.#expect(step === 'continued' && session?.message === 'SASLResponse', name)
        if (this.#isBindingRequired && session?.mechanism !== plus) this.#refuse('has not bound the channel')
        return
      }
      case 'authenticationCleartextPassword':
      case 'authenticationMD5Password':
        if (this.#isBindingRequired) {
          this.#refuse(name.includes('MD5') ? 'logs in by md5' : 'asks for the password in the clear')
        }
        this.#expect(step === 'asked', name)
        this.#step = 'password'
        return
      case 'authenticationOk':
        if (this.#isBindingRequired && step !== 'verified') {
          this.#refuse(step === 'asked' ? 'asks for no password' : 'has not proved that it knows the password')
        }
        this.#expect(step === 'asked' || step === 'password' || step === 'verified', name)
        this.#step = 'authenticated'
        return
      case 'backendKeyData':
        this.#expect(step === 'authenticated' && !this.#hasKey, name)
        this.#hasKey = true
        return
      case 'readyForQuery':
        if (this.#isBindingRequired && step !== 'authenticated') this.#refuse('has not finished the login')
        this.#expect(step === 'authenticated', name)
        this.#step = 'open'
        return
      default:
        this.#expect(name === 'notification' && step === 'authenticated', name)
    }
  }

  /** `pg` has seen it: it forgets the exchange once it has verified the server's signature. */
  after({ name }: ServerMessage): void {
    if (name === 'authenticationSASLFinal' && this.#client.saslSession === null) this.#step = 'verified'
  }

  #demandPlus({ mechanisms = [] }: { readonly mechanisms?: readonly string[] }): void {
    if (this.#client.ssl === false) this.#refuse('is spoken to without TLS')
    if (!mechanisms.includes(plus)) this.#refuse('offers none')
  }

  #expect(isInOrder: boolean, name: string): void {
    if (isInOrder) return
    // Where the channel must be bound this is no passing trouble, to be tried again.
    if (this.#isBindingRequired) this.#refuse(`sent ${name} out of its order`)
    throw new ProtocolViolationError(`${name} out of its order in the login`)
  }

  #refuse(given: string): never {
    const allowed = 'a server with TLS that logs in by scram-sha-256, or another channelBinding'
    throw new LoginError(`channelBinding is 'require', and the server ${given}`, allowed)
  }
}
