/** The part of `pg` that turns a JavaScript value into a parameter; `pg-cursor` imports it the same way. */
declare module 'pg/lib/utils.js' {
  const utils: { prepareValue(value: unknown): unknown }
  export default utils
}
