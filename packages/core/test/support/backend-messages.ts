/** Two bytes of a message. */
export function int16(n: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(n)
  return bytes
}

/** Four bytes of a message, of a number with or without a sign. */
export function int32(n: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(n >>> 0)
  return bytes
}

/** A string of a message, with the zero that ends it. */
export function cstring(value: string): Buffer {
  return Buffer.from(`${value}\0`)
}

/** A message of the server. https://www.postgresql.org/docs/18/protocol-message-formats.html */
export function message(type: string, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.from(type), int32(body.length + 4), body])
}

/** The server is ready; `status` is that of its transaction. */
export function ready(status = 'I'): Buffer {
  return message('Z', Buffer.from(status))
}

/** The columns of a result, in the text format unless it says otherwise. */
export function rowDescription(
  columns: readonly { readonly name: string; readonly oid: number; readonly isBinary?: boolean }[],
): Buffer {
  const fields = columns.flatMap(({ name, oid, isBinary = false }) => [
    cstring(name),
    int32(0),
    int16(0),
    int32(oid),
    int16(-1),
    int32(-1),
    int16(isBinary ? 1 : 0),
  ])
  return message('T', int16(columns.length), ...fields)
}

/** A session that is open after this, without a password. */
export const login = Buffer.concat([message('R', int32(0)), message('K', int32(1), int32(2)), ready()])
