import { describe, expect, test } from 'vitest'
import { matchesConnection } from '../src/proxy/connection-filter.js'
import { ToClient, ToServer } from '../src/proxy/messages.js'
import { checkRule, type FaultRule, matchesText } from '../src/proxy/rule.js'
import { type Boundary, RuleBook, strongestAction } from '../src/proxy/rule-book.js'
import { ServerDebt } from '../src/proxy/server-debt.js'
import { startupParameters } from '../src/proxy/startup-parameters.js'
import { StatementTracker } from '../src/proxy/statement-tracker.js'

const connection = { id: 3, applicationName: 'shop', user: 'app', database: 'orders' }

function boundary(change: Partial<Boundary>): Boundary {
  return { direction: 'to-server', code: 0, when: 'before', connection, text: undefined, statements: [], ...change }
}

describe('a text pattern', () => {
  test('as a string is compared with the start after blanks and comments, ignoring case', () => {
    expect(matchesText('commit', '  -- by the ORM\n/* trace=1 */ COMMIT;')).toBe(true)
    expect(matchesText('commit', '--\r/* /* */ begin */ \f--x\r\nCommit')).toBe(true)
    expect(matchesText('commit', '/* /* */ commit')).toBe(false)
    expect(matchesText('commit', '--\u2028commit')).toBe(false)
    expect(matchesText('COMMIT', "insert into log values ('commit')")).toBe(false)
  })

  test('as a RegExp is searched anywhere, every time anew', () => {
    const pattern = /orders/gi
    expect([matchesText(pattern, 'select * from ORDERS'), matchesText(pattern, 'select * from ORDERS')]).toEqual([
      true,
      true,
    ])
  })
})

describe('the rule book', () => {
  const sync = boundary({ code: ToServer.Sync })

  test('skips, counts, and is done', () => {
    const book = new RuleBook()
    book.add(1, { direction: 'to-server', message: 'Sync', when: 'before', action: 'stall', skip: 1, count: 2 })
    expect([1, 2, 3, 4].map(() => book.fire(sync).length)).toEqual([0, 1, 1, 0])
    expect(book.fired(1)).toBe(2)
    expect(book.watches('to-server', ToServer.Sync)).toBe(false)
  })

  test('keeps directions apart where they share a type byte', () => {
    const book = new RuleBook()
    book.add(1, { direction: 'to-client', message: 'ParameterStatus', when: 'before', action: 'cut' })
    expect(ToClient.ParameterStatus).toBe(ToServer.Sync)
    expect([book.watches('to-client', ToServer.Sync), book.watches('to-server', ToServer.Sync)]).toEqual([true, false])
    expect(book.fire(sync)).toEqual([])
  })

  test('keeps the count of a rule that was removed', () => {
    const book = new RuleBook()
    book.add(1, { direction: 'to-server', message: 'Sync', when: 'before', action: 'cut', count: Infinity })
    book.fire(sync)
    book.remove(1)
    expect([book.fire(sync), book.fired(1)]).toEqual([[], 1])
  })

  test('looks for a statement before its Execute and after the Sync that completes it', () => {
    const book = new RuleBook()
    book.add(1, { statement: 'COMMIT', when: 'before', action: 'cut', count: Infinity })
    book.add(2, { statement: 'COMMIT', when: 'after', action: 'fin', count: Infinity })
    const at = (code: number, when: 'before' | 'after') =>
      book.fire(boundary({ code, when, statements: ['insert', 'commit'] })).map(({ ruleId }) => ruleId)
    expect(at(ToServer.Execute, 'before')).toEqual([1])
    expect(at(ToServer.Execute, 'after')).toEqual([])
    expect(at(ToServer.Sync, 'before')).toEqual([])
    expect(at(ToServer.Sync, 'after')).toEqual([2])
    expect(at(ToServer.Query, 'before')).toEqual([1])
    expect(at(ToServer.Query, 'after')).toEqual([2])
    expect(at(ToServer.Parse, 'before')).toEqual([])
  })

  test('watches only the connections that it is for', () => {
    expect(matchesConnection({ applicationName: 'shop', database: 'orders' }, connection)).toBe(true)
    expect(matchesConnection({ applicationName: 'shop', database: 'other' }, connection)).toBe(false)
    expect([matchesConnection(3, connection), matchesConnection([1, 2], connection)]).toEqual([true, false])
    const book = new RuleBook()
    book.add(1, { direction: 'to-server', message: 'Sync', when: 'before', action: 'cut', connections: { user: 'me' } })
    expect([book.fire(sync), book.blindOn(connection)]).toEqual([[], []])
  })

  test('takes the most drastic of several actions', () => {
    const fired = (['stall', { delayMs: 5 }, 'cut', 'fin'] as const).map((action, ruleId) => ({ ruleId, action }))
    expect(strongestAction(fired)).toBe('cut')
    expect(strongestAction(fired.slice(0, 2))).toBe('stall')
    expect(strongestAction([])).toBeUndefined()
  })
})

describe('a rule that is not valid', () => {
  const valid: FaultRule = { direction: 'to-server', message: 'Query', when: 'before', action: 'cut' }

  test.each<[string, object]>([
    ['message', { message: 'ReadyForQuery' }],
    ['direction', { direction: 'sideways' }],
    ['when', { when: 'during' }],
    ['action', { action: 'explode' }],
    ['action', { action: { delayMs: -1 } }],
    ['count', { count: 0 }],
    ['skip', { skip: 1.5 }],
    ['text', { message: 'Sync', text: 'COMMIT' }],
    ['text', { text: ' ' }],
    ['connections', { connections: {} }],
    ['connections', { connections: { aplicationName: 'typo' } }],
  ])('names %s: %o', (option, change) => {
    const rule: FaultRule = Object.assign({}, valid, change)
    expect(() => checkRule(rule)).toThrow(
      expect.objectContaining({ code: 'FAULT_PROXY_INVALID_OPTION', message: expect.stringMatching(`^${option} is`) }),
    )
  })
})

describe('the statement tracker', () => {
  const see = (tracker: StatementTracker, code: number, body: string) => tracker.see(code, Buffer.from(body))

  test('knows what an Execute runs, through named statements and portals', () => {
    const tracker = new StatementTracker()
    see(tracker, ToServer.Parse, 'c1\0COMMIT\0')
    see(tracker, ToServer.Parse, '\0select 1\0')
    see(tracker, ToServer.Bind, '\0c1\0')
    expect(see(tracker, ToServer.Execute, '\0....')).toBe('COMMIT')
    expect([...tracker.sinceSync]).toEqual(['COMMIT'])
    tracker.synced()
    see(tracker, ToServer.Bind, 'p\0\0')
    expect(see(tracker, ToServer.Execute, 'p\0....')).toBe('select 1')
    see(tracker, ToServer.Close, 'Sc1\0')
    see(tracker, ToServer.Bind, 'p\0c1\0')
    expect(see(tracker, ToServer.Execute, 'p\0....')).toBeUndefined()
    expect([...tracker.sinceSync]).toEqual(['select 1'])
  })
})

describe('what the server owes', () => {
  test('is settled when all is answered, when it waits for COPY data, and before it is ready', () => {
    const debt = new ServerDebt()
    expect(debt.settled).toBe(true)
    debt.passed('to-client', ToClient.ReadyForQuery)
    debt.passed('to-server', ToServer.Query)
    debt.passed('to-server', ToServer.Sync)
    debt.passed('to-client', ToClient.ReadyForQuery)
    expect(debt.settled).toBe(false)
    debt.passed('to-client', ToClient.CopyInResponse)
    expect(debt.settled).toBe(true)
    debt.passed('to-client', ToClient.ReadyForQuery)
    expect(debt.settled).toBe(true)
  })
})

test('the parameters of a StartupMessage are read', () => {
  const body = Buffer.from('\0\x03\0\0user\0app\0application_name\0shop\0\0')
  expect([...startupParameters(body)]).toEqual([
    ['user', 'app'],
    ['application_name', 'shop'],
  ])
})
