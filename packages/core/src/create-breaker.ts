import { systemClock, systemRandom } from './deadline/clock.js'
import { type BreakerVerdict, breakerVerdict } from './errors/classify.js'
import { custom, type Named, type OptionFields, type OptionsOf, text, withDefault } from './options/option-kinds.js'
import { breakerFields, poolFields } from './options/option-schema.js'
import { checkOptions, nest, resolveFields } from './options/validate.js'
import { type Breaker, OwnBreaker } from './resilience/breaker.js'

const isFunction = (value: unknown): boolean => typeof value === 'function'

const fields = {
  ...breakerFields,
  /** What it stands in front of, for messages. @default 'this call' */
  name: text('this call'),
  /**
   * What the end of a call says of the server; `undefined` stands for a call that returned.
   *
   * @default breakerVerdict: by the same table as the pool's own breaker
   */
  verdict: withDefault(
    custom<(error: unknown) => BreakerVerdict>('a function from an error to a verdict', isFunction),
    breakerVerdict,
  ),
  /** Time and chance, for tests. @default the system's */
  environment: poolFields.environment,
} as const satisfies OptionFields

/** Options of a breaker of one's own. */
export interface OwnBreakerOptions extends OptionsOf<typeof fields>, Named {}

/**
 * Makes a circuit breaker for anything that can fail: another service, another database. Those of a pool's own servers
 * are there already.
 *
 * @throws InvalidArgumentError at once, naming the option, the value and what is allowed
 * @example
 * ```ts
 * import { createBreaker } from '@pg-lifeguard/core'
 *
 * const breaker = createBreaker({ name: 'the mail service', minCalls: 5, verdict: (error) => (error === undefined ? 'success' : 'failure') })
 * breaker.on('breaker', ({ to, reason }) => console.log(to, reason))
 * await breaker.run(({ signal }) => fetch('https://mail.example/send', { method: 'POST', signal }), { timeoutMs: 500 })
 * ```
 */
export function createBreaker(options: OwnBreakerOptions = {}): Breaker {
  const { environment, ...parts } = resolveFields(fields, nest(checkOptions(options, fields), fields))
  const { clock = systemClock, random = systemRandom } = environment
  return new OwnBreaker({ ...parts, clock, random })
}
