/** A source of randomness in [0, 1), injected so that jitter can be replayed in tests. */
export type Random = () => number

/** The default source. Jitter needs spread, not secrecy. */
export const systemRandom: Random = Math.random

/** A duration spread evenly over `ms` plus or minus `share` of it, so that what was started together ends apart. */
export function jitter(ms: number, share: number, random: Random): number {
  return ms * (1 + share * (2 * random() - 1))
}
