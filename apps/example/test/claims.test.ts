import { describe, expect, test } from 'vitest'
import type { Claim } from '../src/demos/demo.js'
import { type FailoverFigures, failoverClaims } from '../src/demos/failover/failover.js'
import { type CommitFigures, commitClaims } from '../src/demos/lost-commit/lost-commit.js'
import { type LockFigures, lockClaims } from '../src/demos/lost-lock/lost-lock.js'
import { mixedClaims, type Outcome } from '../src/demos/mixed/mixed.js'
import { overloadClaims } from '../src/demos/overload/overload.js'
import { type ReadFigures, readClaims } from '../src/demos/read-your-writes/read-your-writes.js'
import { type MemoryFigures, memoryClaims } from '../src/demos/stream-and-copy/stream-and-copy.js'
import { askAll, type TenantFigures, tenantClaims } from '../src/demos/tenants/tenants.js'

/** Which claims do not hold, by their place. */
function broken(claims: readonly Claim[]): number[] {
  return claims.flatMap(({ holds }, index) => (holds ? [] : [index]))
}

describe('mixed', () => {
  const good: Outcome = { situation: 'killed once', orders: 4, expected: 4, reportedDone: 4, rows: [4, 4, 4, 4] }
  test.each<[string, Partial<Outcome>, number[]]>([
    ['all is well', {}, []],
    ['a row of one of them is missing', { rows: [4, 4, 3, 4] }, [0, 1, 2]],
    ['everything is there twice', { rows: [8, 8, 8, 8] }, [1, 2]],
    ['a failure was reported that was none', { reportedDone: 3 }, [2]],
  ])('%s', (_, change, expected) => expect(broken(mixedClaims([{ ...good, ...change }]))).toEqual(expected))
})

describe('read-your-writes', () => {
  const what = { through: 'raw SQL', requests: 5 }
  const naive: ReadFigures = { ...what, way: 'naive', replica: 'is paused', stale: 5, fromReplica: 5 }
  const still: ReadFigures = { ...what, way: 'causal', replica: 'is paused', stale: 0, fromReplica: 0 }
  const late: ReadFigures = { ...what, way: 'causal', replica: 'is late', stale: 0, fromReplica: 5 }
  test.each<[string, ReadFigures[], number[]]>([
    ['all is well', [naive, still, late], []],
    ['one is stale', [naive, { ...still, stale: 1 }, late], [0]],
    ['the late replica is never asked', [naive, still, { ...late, fromReplica: 0 }], [1]],
    ['a naive read was not stale', [{ ...naive, stale: 4 }, still, late], [2]],
    ['nothing was done', [], [0, 1, 2]],
  ])('%s', (_, figures, expected) => expect(broken(readClaims(figures))).toEqual(expected))
})

describe('failover', () => {
  const good: FailoverFigures = {
    ...{ through: 'raw SQL', reads: 9, readsWithoutPrimary: 8, slowestReadMs: 9, writes: 5, slowestWriteMs: 2_100 },
    ...{ failures: [], lost: 0 },
  }
  test.each<[string, Partial<FailoverFigures>, number[]]>([
    ['all is well', {}, []],
    ['reads stop', { readsWithoutPrimary: 0 }, [0]],
    ['no write waited', { slowestWriteMs: 12 }, [1]],
    ['a caller got an error', { failures: ['connection lost'] }, [2]],
    ['a confirmed write is gone', { lost: 1 }, [3]],
  ])('%s', (_, change, expected) => expect(broken(failoverClaims([{ ...good, ...change }]))).toEqual(expected))
})

test('overload', () => {
  const good = { calls: 100, usefulPerSecond: 90, p99Ms: 200, turnedAway: 10, refusalMs: 100 }
  expect(broken(overloadClaims(good, { ...good, usefulPerSecond: 20 }))).toEqual([])
  expect(broken(overloadClaims(good, good))).toEqual([0])
  expect(broken(overloadClaims({ ...good, refusalMs: 1_200 }, { ...good, usefulPerSecond: 20 }))).toEqual([1])
})

describe('lost-lock', () => {
  const naive: LockFigures = {
    ...{ through: 'bare pg.Pool', noticedMs: undefined, result: 'no error', stored: 'by the first, late' },
  }
  const good: LockFigures = { through: 'Kysely', noticedMs: 3, result: 'LOCK_LOST', stored: 'by the second' }
  test.each<[string, Partial<LockFigures>, number[]]>([
    ['all is well', {}, []],
    ['the signal never aborts', { noticedMs: undefined }, [0]],
    ['the stale writer gets in', { stored: 'by the first, late' }, [1]],
    ['the holder gets no error', { result: 'no error' }, [2]],
  ])('%s', (_, change, expected) => expect(broken(lockClaims([naive, { ...good, ...change }]))).toEqual(expected))
  test('the naive lock does no harm', () => {
    expect(broken(lockClaims([{ ...naive, stored: good.stored }, good]))).toEqual([3])
  })
})

describe('lost-commit', () => {
  const bare: CommitFigures = {
    ...{ through: 'bare pg.Pool', cut: 'after', payments: 3, reportedPaid: 0, reportedFailed: 3 },
    ...{ paid: 3, paidTwice: 0, reportedWrong: 3 },
  }
  const good: CommitFigures = { ...bare, through: 'Prisma', reportedPaid: 3, reportedFailed: 0, reportedWrong: 0 }
  test.each<[string, Partial<CommitFigures>, number[]]>([
    ['all is well', {}, []],
    ['an order is not paid', { paid: 2 }, [0]],
    ['an order is paid twice', { paidTwice: 1 }, [0]],
    ['a caller got a wrong result', { reportedWrong: 1 }, [1]],
  ])('%s', (_, change, expected) => expect(broken(commitClaims([bare, { ...good, ...change }]))).toEqual(expected))
  test('the bare pool knew', () => expect(broken(commitClaims([{ ...bare, reportedFailed: 0 }, good]))).toEqual([2]))
})

describe('stream-and-copy', () => {
  const took = { rows: 100, total: 1, peakMb: 100, keptMb: 12, seconds: 1 }
  const stream: MemoryFigures = { name: 'stream', isConstant: true, count: 100, few: took, many: took }
  const naive: MemoryFigures = { ...stream, name: 'query', isConstant: false, many: { ...took, keptMb: 90 } }
  test.each<[string, Partial<MemoryFigures>, number, number[]]>([
    ['all is well', {}, 100, []],
    ['it keeps its rows', { many: { ...took, keptMb: 60 } }, 100, [0]],
    ['it misses a row', { many: { ...took, rows: 99 } }, 100, [2]],
    ['COPY leaves a row out', {}, 99, [2]],
  ])('%s', (_, change, copied, expected) => {
    expect(broken(memoryClaims([{ ...stream, ...change }, naive], copied))).toEqual(expected)
  })
})

describe('tenants', () => {
  const naive: TenantFigures = { through: 'pg.Pool', calls: 8, foreignRows: 5, incomplete: 1, foreignWrite: undefined }
  const good: TenantFigures = { ...naive, through: 'Kysely', foreignRows: 0, incomplete: 0, foreignWrite: 'refused' }
  test.each<[string, Partial<TenantFigures>, number[]]>([
    ['all is well', {}, []],
    ['a foreign row is seen', { foreignRows: 1 }, [0]],
    ['an own row is missed', { incomplete: 1 }, [0]],
    ['a foreign row is written', { foreignWrite: 'written' }, [1]],
  ])('%s', (_, change, expected) => {
    expect(broken(tenantClaims([naive, { ...good, ...change }], 'none', null))).toEqual(expected)
  })
  test('a connection comes back as a tenant', () => {
    expect(broken(tenantClaims([naive, good], 'tenant', '7'))).toEqual([2])
  })
  test('what is counted: a tenant that sees everything, and one that sees nothing', async () => {
    const everything = Array.from({ length: 8 }, (_, tenant) =>
      Array.from({ length: 5 }, (_, n) => `contact ${n} of tenant ${tenant + 1}`),
    ).flat()
    expect(await askAll(async () => everything, 8)).toEqual({ foreignRows: 280, incomplete: 0 })
    expect(await askAll(async () => [], 8)).toEqual({ foreignRows: 0, incomplete: 8 })
  })
})
