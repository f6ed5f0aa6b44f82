/** The parsers of text that `pg` has for the types that are built in: a part of what it depends on itself, in the same version. */
declare module 'pg-types/lib/textParsers.js' {
  const parsers: { init(register: (oid: number, parser: (text: string) => unknown) => void): void }
  export default parsers
}
