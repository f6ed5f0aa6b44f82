/**
 * A place in the write-ahead log, as its number of bytes. A number of JavaScript would lose the last bits of it; a
 * comparison of the texts would be wrong, as their parts are not padded.
 * https://www.postgresql.org/docs/18/datatype-pg-lsn.html
 */
export type Lsn = bigint

const form = /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/i
/** Size of a page of the log, and of the header that a page begins with. */
const pageBytes = 8_192n
const shortHeaderBytes = 24n

/** The place that a text such as `16/B374D848` names; undefined when it names none. */
export function parseLsn(text: string): Lsn | undefined {
  const parts = form.exec(text)
  if (parts === null) return undefined
  return (BigInt(`0x${parts[1]}`) << 32n) | BigInt(`0x${parts[2]}`)
}

/** As the server writes it: two hexadecimal numbers in capitals, without leading zeros. */
export function formatLsn(lsn: Lsn): string {
  return `${(lsn >> 32n).toString(16)}/${(lsn & 0xffff_ffffn).toString(16)}`.toUpperCase()
}

/**
 * Where the last record ends, given the server's insert position. When that record fills its page to the last byte, the
 * server tells where the next one will begin, behind the header of the next page; a standby that has replayed everything
 * still stands at the end of the page, and would be waited for in vain. No record can end where a header does.
 */
export function endOfLastRecord(insertPosition: Lsn): Lsn {
  return insertPosition % pageBytes === shortHeaderBytes ? insertPosition - shortHeaderBytes : insertPosition
}
