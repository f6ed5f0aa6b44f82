import { prepareValue } from './pg-internals.js'

/** What `pg` makes of values before they are sent. */
export function prepared(values: readonly unknown[] | undefined): unknown[] {
  return values === undefined ? [] : values.map((value) => prepareValue(value))
}
