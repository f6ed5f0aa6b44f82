import { createHash, createHmac, pbkdf2Sync, X509Certificate } from 'node:crypto'
import net from 'node:net'
import tls from 'node:tls'
import { cstring, int32, message } from './backend-messages.js'
import type { Issued } from './certificates.js'

const auth = (kind: number, ...parts: readonly Buffer[]): Buffer => message('R', int32(kind), ...parts)

/** What a server says at login. */
export const says = {
  ok: auth(0),
  cleartext: auth(3),
  md5: auth(5, Buffer.from('salt')),
  gss: auth(7),
  sspi: auth(9),
  offer: (...mechanisms: readonly string[]): Buffer => auth(10, ...mechanisms.map(cstring), Buffer.from([0])),
  proceed: (data: string): Buffer => auth(11, Buffer.from(data)),
  final: (data: string): Buffer => auth(12, Buffer.from(data)),
  key: message('K', int32(1), int32(2)),
  ready: message('Z', Buffer.from('I')),
  error: (severity: string, code: string): Buffer =>
    message(
      'E',
      cstring(`S${severity}`),
      cstring(`V${severity}`),
      cstring(`C${code}`),
      cstring('Mno'),
      Buffer.from([0]),
    ),
  notice: message('N', cstring('SNOTICE'), cstring('VNOTICE'), cstring('C00000'), cstring('Mwell'), Buffer.from([0])),
  parameter: message('S', cstring('server_version'), cstring('18.0')),
}
export const plus = 'SCRAM-SHA-256-PLUS'
export const plain = 'SCRAM-SHA-256'

/** One login at a server that does what the test says. */
export class RogueLogin {
  readonly #socket: net.Socket
  readonly #isSlow: boolean
  readonly #certificate: string
  /** Types of the messages that came; the first one, which has no type, is `startup`. */
  readonly got: string[] = []
  #bytes = Buffer.alloc(0)
  #wake: (() => void) | undefined
  #isOver = false

  constructor(socket: net.Socket, certificate: string, isSlow: boolean) {
    this.#socket = socket
    this.#certificate = certificate
    this.#isSlow = isSlow
    socket.on('data', (chunk) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk])
      this.#wake?.()
    })
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.#isOver = true
      this.#wake?.()
    })
  }

  /** All in one packet, or each byte in its own. */
  say(...messages: readonly Buffer[]): void {
    if (this.#socket.destroyed) return
    const bytes = Buffer.concat(messages)
    if (this.#isSlow) for (const byte of bytes) this.#socket.write(Buffer.from([byte]))
    else this.#socket.write(bytes)
  }

  /** The next message of the client; undefined when it has gone. */
  async hear(): Promise<Buffer | undefined> {
    const header = this.got.length === 0 ? 0 : 1
    for (;;) {
      if (this.#bytes.length >= header + 4) {
        const end = header + this.#bytes.readInt32BE(header)
        if (this.#bytes.length >= end) {
          this.got.push(header === 0 ? 'startup' : this.#bytes.toString('latin1', 0, 1))
          const body = this.#bytes.subarray(header + 4, end)
          this.#bytes = this.#bytes.subarray(end)
          return body
        }
      }
      if (this.#isOver) return undefined
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  /** The client's answer to an offer: the exchange up to where the server signs. Undefined when it has gone. */
  async exchange(password: string): Promise<{ readonly signature: string; readonly isBound: boolean } | undefined> {
    const first = await this.hear()
    if (first === undefined) return undefined
    const clientFirst = first.toString('utf8', first.indexOf(0) + 5)
    const bare = clientFirst.slice(clientFirst.indexOf(',,') + 2)
    const salt = Buffer.from('a salt of 16 b..')
    const serverFirst = `r=${bare.slice(bare.indexOf('r=') + 2)}more,s=${salt.toString('base64')},i=4096`
    this.say(says.proceed(serverFirst))
    const last = (await this.hear())?.toString()
    if (last === undefined) return undefined
    const withoutProof = last.slice(0, last.indexOf(',p='))
    const salted = pbkdf2Sync(password, salt, 4_096, 32, 'sha256')
    const serverKey = createHmac('sha256', salted).update('Server Key').digest()
    const signature = createHmac('sha256', serverKey).update(`${bare},${serverFirst},${withoutProof}`).digest('base64')
    const hash = createHash('sha256').update(new X509Certificate(this.#certificate).raw).digest()
    const bound = Buffer.concat([Buffer.from('p=tls-server-end-point,,'), hash]).toString('base64')
    return { signature, isBound: withoutProof.startsWith(`c=${bound},`) }
  }
}

/** What a server does with a login. */
export type LoginScript = (login: RogueLogin) => Promise<unknown>

/** How a server answers when it is asked for TLS. */
export type TlsAnswer = 'tls' | Buffer

/** A server that does with each login what the script says, over TLS with this certificate. */
export class RogueServer {
  readonly #sockets = new Set<net.Socket>()
  readonly #server: net.Server
  readonly logins: RogueLogin[] = []

  private constructor(issued: Issued, script: LoginScript, isSlow: boolean, answer: TlsAnswer) {
    const begin = (socket: net.Socket): void => {
      const login = new RogueLogin(socket, issued.certificate, isSlow)
      this.logins.push(login)
      // What came out of a script that the client has left is nobody's concern.
      void login.hear().then(async (startup) => startup && (await script(login)))
    }
    this.#server = net.createServer({ noDelay: true }, (socket) => {
      this.#sockets.add(socket)
      socket.on('error', () => undefined)
      socket.once('data', (first) => {
        if (first.readInt32BE(4) !== 80_877_103) {
          socket.unshift(first)
          begin(socket)
        } else if (answer === 'tls') {
          socket.write('S')
          const context = tls.createSecureContext({ key: issued.key, cert: issued.certificate })
          begin(new tls.TLSSocket(socket, { isServer: true, secureContext: context }))
        } else socket.end(answer)
      })
    })
  }

  static async start(
    issued: Issued,
    script: LoginScript,
    { isSlow = false, answer = 'tls' }: { readonly isSlow?: boolean; readonly answer?: TlsAnswer } = {},
  ): Promise<RogueServer> {
    const server = new RogueServer(issued, script, isSlow, answer)
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve))
    return server
  }

  get url(): string {
    return `postgres://someone:secret@127.0.0.1:${(this.#server.address() as net.AddressInfo).port}/d`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
