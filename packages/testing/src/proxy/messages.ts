/** Which way bytes travel: from the client under test to the server, or back. */
export type Direction = 'to-server' | 'to-client'

/**
 * Codes above one byte stand for the packets of the start of a connection, which have no type byte.
 * https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
const toServerCodes = {
  Bind: 0x42,
  Close: 0x43,
  CopyData: 0x64,
  CopyDone: 0x63,
  CopyFail: 0x66,
  Describe: 0x44,
  Execute: 0x45,
  Flush: 0x48,
  FunctionCall: 0x46,
  Parse: 0x50,
  PasswordMessage: 0x70,
  Query: 0x51,
  Sync: 0x53,
  Terminate: 0x58,
  StartupMessage: 256,
  SSLRequest: 257,
  GSSENCRequest: 258,
  CancelRequest: 259,
} as const

const toClientCodes = {
  Authentication: 0x52,
  BackendKeyData: 0x4b,
  BindComplete: 0x32,
  CloseComplete: 0x33,
  CommandComplete: 0x43,
  CopyBothResponse: 0x57,
  CopyData: 0x64,
  CopyDone: 0x63,
  CopyInResponse: 0x47,
  CopyOutResponse: 0x48,
  DataRow: 0x44,
  EmptyQueryResponse: 0x49,
  ErrorResponse: 0x45,
  FunctionCallResponse: 0x56,
  NegotiateProtocolVersion: 0x76,
  NoData: 0x6e,
  NoticeResponse: 0x4e,
  NotificationResponse: 0x41,
  ParameterDescription: 0x74,
  ParameterStatus: 0x53,
  ParseComplete: 0x31,
  PortalSuspended: 0x73,
  ReadyForQuery: 0x5a,
  RowDescription: 0x54,
  EncryptionAnswer: 260,
} as const

/**
 * A message a client sends. `PasswordMessage` stands for every answer to an authentication request (SCRAM too).
 * `StartupMessage`, `SSLRequest`, `GSSENCRequest` and `CancelRequest` are the packets a connection can start with.
 */
export type ToServerMessage = keyof typeof toServerCodes

/** A message a server sends. `EncryptionAnswer` is the single byte that answers SSLRequest and GSSENCRequest. */
export type ToClientMessage = keyof typeof toClientCodes

/** Codes of the messages to the server, by name. */
export const ToServer: Readonly<Record<ToServerMessage, number>> = toServerCodes

/** Codes of the messages to the client, by name. */
export const ToClient: Readonly<Record<ToClientMessage, number>> = toClientCodes

/** One more than the highest code: the size of a table over all codes. */
export const codeCount = 261

const codesOf: Readonly<Record<Direction, Readonly<Record<string, number>>>> = {
  'to-server': toServerCodes,
  'to-client': toClientCodes,
}

const namesOf: Readonly<Record<Direction, readonly (string | undefined)[]>> = {
  'to-server': byCode(toServerCodes),
  'to-client': byCode(toClientCodes),
}

/** The code of a message, or undefined where that direction has no message of that name. */
export function messageCode(direction: Direction, name: string): number | undefined {
  return Object.hasOwn(codesOf[direction], name) ? codesOf[direction][name] : undefined
}

/** The name of a code, for statistics. A type byte that is not in the manual shows as `0x..`. */
export function messageName(direction: Direction, code: number): string {
  return namesOf[direction][code] ?? `0x${code.toString(16)}`
}

/** Every message name of a direction, for error messages. */
export function messageNames(direction: Direction): string[] {
  return Object.keys(codesOf[direction])
}

function byCode(codes: Readonly<Record<string, number>>): (string | undefined)[] {
  const names: (string | undefined)[] = new Array(codeCount)
  for (const [name, code] of Object.entries(codes)) names[code] = name
  return names
}
