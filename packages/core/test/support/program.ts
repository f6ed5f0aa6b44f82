import fc from 'fast-check'

/** Why a statement fails. A `conflict` does so in the first attempt only. */
export type Failure = 'division' | 'conflict' | 'timeout'

/** One step of a transaction's callback. */
export type Step =
  | { readonly do: 'insert'; readonly through: 'handle' | 'pool' }
  | { readonly do: 'fail'; readonly why: Failure; readonly swallowed: boolean }
  | { readonly do: 'throw' | 'hook' | 'outside' }
  | { readonly do: 'nested'; readonly body: Program; readonly through: 'handle' | 'pool'; readonly caught: boolean }
  /** All at the same time; whatever fails is swallowed. */
  | { readonly do: 'together'; readonly parts: Program }
  /** A savepoint that is ended by hand, or left open. When its body fails it is rolled back. */
  | { readonly do: 'manual'; readonly body: Program; readonly end: 'commit' | 'rollback' | 'left' }

/** What a callback does, one step after the other. */
export type Program = readonly Step[]

const through = fc.constantFrom('handle' as const, 'pool' as const)
const why = fc.constantFrom('division' as const, 'division' as const, 'conflict' as const, 'timeout' as const)
/** Side by side with others a deadline would decide by chance who is first. */
const whyAtOnce = fc.constantFrom('division' as const, 'conflict' as const)

const { program } = fc.letrec<{ step: Step; part: Step; program: Program }>((tie) => {
  const body = tie('program')
  const insert = fc.record({ do: fc.constant('insert' as const), through })
  const nested = (caught: fc.Arbitrary<boolean>) =>
    fc.record({ do: fc.constant('nested' as const), body, through, caught })
  const failing = (reason: fc.Arbitrary<Failure>, swallowed: fc.Arbitrary<boolean>) =>
    fc.record({ do: fc.constant('fail' as const), why: reason, swallowed })
  return {
    program: fc.array(tie('step'), { maxLength: 5 }),
    part: fc.oneof(
      { depthSize: 'small', maxDepth: 4 },
      { weight: 3, arbitrary: insert },
      { weight: 1, arbitrary: failing(whyAtOnce, fc.constant(true)) },
      { weight: 4, arbitrary: nested(fc.constant(true)) },
    ),
    step: fc.oneof(
      { depthSize: 'small', maxDepth: 4 },
      { weight: 8, arbitrary: insert },
      { weight: 2, arbitrary: failing(why, fc.boolean()) },
      { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('throw' as const, 'outside' as const) }) },
      { weight: 3, arbitrary: fc.record({ do: fc.constant('hook' as const) }) },
      { weight: 6, arbitrary: nested(fc.boolean()) },
      {
        weight: 3,
        arbitrary: fc.record({
          do: fc.constant('together' as const),
          parts: fc.array(tie('part'), { minLength: 2, maxLength: 4 }),
        }),
      },
      {
        weight: 3,
        arbitrary: fc.record({
          do: fc.constant('manual' as const),
          body,
          end: fc.constantFrom('commit' as const, 'commit' as const, 'rollback' as const, 'left' as const),
        }),
      },
    ),
  }
})

/** Random programs, a few levels deep. */
export const programs: fc.Arbitrary<Program> = program
