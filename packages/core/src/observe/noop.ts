/** A callback that does nothing. */
export const noop = (): void => undefined
