import fc from 'fast-check'

/** One thing that goes wrong with the messages of a server. */
export interface Mutation {
  /** Which message, counted round and round. */
  readonly at: number
  readonly what: keyof typeof mutators
  /** Decides how. */
  readonly value: number
}

const headerBytes = 5
const types = [...'1235ACDEGHIKNRSTVWZcdnst?\0\xff']
const lengths = [0, 1, 2, 3, 4, 5, 0x3fff_ffff, 0x4000_0000, 0x4000_0001, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]
const counts = [-1, -32_768, 0, 1, 2, 32_767]
const valueLengths = [-1, -2, -0x8000_0000, 0, 1, 7, 8, 9, 0x7fff_ffff, 0x4000_0000]

/** One of them, or a number near the one that is there. */
function strange(list: readonly number[], was: number, value: number): number {
  const n = value % (list.length + 8)
  return list[n] ?? was + (n - list.length - 4)
}

/** A copy that may be written to. */
function changed(frame: Buffer, change: (bytes: Buffer) => void): Buffer {
  const bytes = Buffer.from(frame)
  change(bytes)
  return bytes
}

function withLength(frame: Buffer, length: number): Buffer {
  return changed(frame, (bytes) => bytes.writeUInt32BE(length >>> 0, 1))
}

/** Where the lengths of values are in a row. */
function lengthsIn(frame: Buffer): number[] {
  const found: number[] = []
  for (let at = headerBytes + 2; at + 4 <= frame.length; at += 4 + Math.max(0, frame.readInt32BE(at))) found.push(at)
  return found
}

/** What becomes of one message, and of the one after it. */
const mutators = {
  length: (frame: Buffer, value: number) => [withLength(frame, strange(lengths, frame.readUInt32BE(1), value))],
  type: (frame: Buffer, value: number) => [
    changed(frame, (bytes) => bytes.write(types[value % types.length] as string, 0, 'latin1')),
  ],
  bit: (frame: Buffer, value: number) => [
    changed(frame, (bytes) => {
      const at = (value >>> 3) % bytes.length
      bytes[at] = (bytes[at] as number) ^ (1 << (value & 7))
    }),
  ],
  bytes: (frame: Buffer, value: number) => [
    changed(frame, (bytes) => {
      for (let n = 0; n < 4; n++) bytes[(value + n * 7) % bytes.length] = (value >>> (n * 8)) & 0xff
    }),
  ],
  /** Its end is missing, and its length does not say so. */
  cut: (frame: Buffer, value: number) => [frame.subarray(0, value % frame.length)],
  /** Its end is missing, and its length is right. */
  shortened: (frame: Buffer, value: number) => {
    const length = headerBytes + (value % (frame.length - headerBytes + 1))
    return [withLength(frame.subarray(0, length), length - 1)]
  },
  /** There is more in it than there should be, and its length is right. */
  lengthened: (frame: Buffer, value: number) => {
    const more = Buffer.alloc(1 + (value % 9), value)
    return [withLength(Buffer.concat([frame, more]), frame.length + more.length - 1)]
  },
  count: (frame: Buffer, value: number) => [
    frame.length < headerBytes + 2
      ? frame
      : changed(frame, (bytes) => {
          const count = strange(counts, bytes.readInt16BE(headerBytes), value)
          bytes.writeUInt16BE(count & 0xffff, headerBytes)
        }),
  ],
  valueLength: (frame: Buffer, value: number) => {
    const all = frame[0] === 0x44 ? lengthsIn(frame) : []
    const at = all[value % Math.max(1, all.length)]
    if (at === undefined) return [frame]
    return [
      changed(frame, (bytes) => bytes.writeInt32BE(strange(valueLengths, bytes.readInt32BE(at), value >>> 4) | 0, at)),
    ]
  },
  dropped: () => [],
  doubled: (frame: Buffer) => [frame, frame],
  /** Something that is no message comes before it. */
  noise: (frame: Buffer, value: number) => [Buffer.alloc(1 + (value % 20), value >>> 5), frame],
} satisfies Record<string, (frame: Buffer, value: number) => Buffer[]>

const kinds = Object.keys(mutators) as (keyof typeof mutators)[]

function mutationOf(...kinds: readonly Mutation['what'][]): fc.Arbitrary<Mutation> {
  return fc.record({ at: fc.nat(), what: fc.constantFrom(...kinds), value: fc.nat() })
}

/** Up to three things that go wrong. */
export const anyMutations: fc.Arbitrary<Mutation[]> = fc.array(mutationOf(...kinds), { minLength: 1, maxLength: 3 })

/**
 * One thing that goes wrong with a message, and can be seen. Not that its end is lost without a trace, which no connection
 * does: two answers could become one in which nothing is wrong.
 */
export const anyMutation: fc.Arbitrary<Mutation> = mutationOf(...kinds.filter((kind) => kind !== 'cut'))

/** Messages that were right, after these mutations. `first`: what comes before the first message that is not as it was. */
export function mutated(
  frames: readonly Buffer[],
  mutations: readonly Mutation[],
): { readonly bytes: Buffer; readonly first: number } {
  const all: Buffer[][] = frames.map((frame) => [frame])
  let first = frames.length
  for (const { at, what, value } of mutations) {
    const n = at % frames.length
    // One that was cut to nothing has nothing left to be changed.
    all[n] = (all[n] as Buffer[]).flatMap((frame) =>
      frame.length < headerBytes ? [frame] : mutators[what](frame, value),
    )
    first = Math.min(first, n)
  }
  return { bytes: Buffer.concat(all.flat()), first }
}

/** How a stream of bytes comes in: in pieces of any size. */
export const anyPieces: fc.Arbitrary<readonly number[]> = fc.array(fc.integer({ min: 1, max: 60 }), {
  minLength: 1,
  maxLength: 6,
})

/** The bytes in pieces of these lengths, round and round. Each is in memory of its own, as one of a socket is. */
export function* inPieces(bytes: Buffer, lengths: readonly number[]): Generator<Buffer> {
  for (let at = 0, n = 0; at < bytes.length; n++) {
    const end = Math.min(bytes.length, at + (lengths[n % lengths.length] as number))
    yield Buffer.from(bytes.subarray(at, end))
    at = end
  }
}
