import { describe, expect, test } from 'vitest'
import { SqlLexer } from '../../src/sql/tokens.js'

function tokensOf(sql: string): string[] {
  const lexer = new SqlLexer(sql)
  const found: string[] = []
  while (lexer.next()) found.push(`${lexer.kind} ${lexer.text}`)
  return found
}
function isCertain(sql: string): boolean {
  const lexer = new SqlLexer(sql)
  while (lexer.next());
  return lexer.isCertain
}

describe('reads as the server does', () => {
  test.each([
    // Blanks, and what only looks like one.
    [' \t\n\r\f\v', []],
    ['select\u00a01', ['word select\u00a01']],
    ['\ufeffselect', ['word \ufeffselect']],
    ['a\u2028b', ['word a\u2028b']],
    // Comments.
    ['--x\rbegin', ['word begin']],
    ['--x\nbegin', ['word begin']],
    ['--x\u2028begin', []],
    ['--x\r\nbegin', ['word begin']],
    ['/* /* */ begin */ commit', ['word commit']],
    ['/*/ begin */ commit', ['word commit']],
    ['/***/a/**/b', ['word a', 'word b']],
    ['1*/*x*/2', ['value 1', 'mark *', 'value 2']],
    ['a @--b\nc', ['word a', 'mark @', 'word c']],
    ['+/*x*/-', ['mark +', 'mark -']],
    // Words.
    ['BEGIN Ab_1$x', ['word begin', 'word ab_1$x']],
    ['ro\u212a', ['word ro\u212a']],
    ['I\u0130\u017f', ['word i\u0130\u017f']],
    ['"A ""b"" ;" "c"', ['name A "b" ;', 'name c']],
    // Strings.
    ["'it''s ;' x", ["value 'it''s ;'", 'word x']],
    ["'a\\' x", ["value 'a\\'", 'word x']],
    ["e'a\\' x' y", ["value e'a\\' x'", 'word y']],
    ["E'\\\\' y", ["value E'\\\\'", 'word y']],
    ["E'a''b\\'' y", ["value E'a''b\\''", 'word y']],
    ["fe'a\\' y", ['word fe', "value 'a\\'", 'word y']],
    ["b'1' X'ff' n'a' u&'x' U&\"a\"", ["value b'1'", "value X'ff'", "value n'a'", "value u&'x'", 'name a']],
    ["u & 'x'", ['word u', 'mark &', "value 'x'"]],
    // A string goes on after a line end, with the rules it began with.
    ["'a'\n'b' c", ["value 'a'\n'b'", 'word c']],
    ["'a' -- x\r 'b' c", ["value 'a' -- x\r 'b'", 'word c']],
    ["'a' 'b'", ["value 'a'", "value 'b'"]],
    ["'a'\n/**/'b'", ["value 'a'", "value 'b'"]],
    ["e'a'\n'\\'; b' c", ["value e'a'\n'\\'; b'", 'word c']],
    ["'a'\ne'\\''", ["value 'a'", "value e'\\''"]],
    // Dollars.
    ['$$a;$b$;$$ x', ['value $$a;$b$;$$', 'word x']],
    ['$a$ $$ $A$ $a$ x', ['value $a$ $$ $A$ $a$', 'word x']],
    ['a$b$c', ['word a$b$c']],
    ['$1$$;$$', ['value $1', 'value $$;$$']],
    ['$\u00e9$;$\u00e9$', ['value $\u00e9$;$\u00e9$']],
    ['$a b$', ['mark $', 'word a', 'word b$']],
    // Numbers.
    ['1.5e-3 .5 1_000 0xFf 1e5', ['value 1.5e-3', 'value .5', 'value 1_000', 'value 0xFf', 'value 1e5']],
    ['1..2', ['value 1', 'mark .', 'mark .', 'value 2']],
    ['1$$a$$', ['value 1', 'value $$a$$']],
    ['a.b::c[1]', ['word a', 'mark .', 'word b', 'mark :', 'mark :', 'word c', 'mark [', 'value 1', 'mark ]']],
  ] as const)('%j', (sql, tokens) => expect(tokensOf(sql)).toEqual(tokens))
})

test.each(["'a\\'", "'a", '"a', '/* a', "e'a\\", '$$ a', '$a', "u&'a'", '123abc', '$1a', 'a\0'])(
  '%j is not certain',
  (sql) => expect(isCertain(sql)).toBe(false),
)
test.each(["e'a\\''", 'select 1', "'a''b'", '$$a\\b$$', '"a\\b"'])('%j is certain', (sql) =>
  expect(isCertain(sql)).toBe(true),
)

test.each([
  ['a comment', (long: string) => `/*${long}*/ x`],
  ['a line comment', (long: string) => `--${long}\nx`],
  ['nested comments', (long: string) => `${'/*'.repeat(long.length / 4)}${'*/'.repeat(long.length / 4)} x`],
  ['blanks', (long: string) => `${' '.repeat(long.length)}x`],
  ['a string', (long: string) => `'${long}' x`],
  ['a string of quotes', (long: string) => `'${"''".repeat(long.length / 2)}' x`],
  ['an escaped string', (long: string) => `e'${'\\'.repeat(long.length)}' x`],
  ['strings that go on', (long: string) => `'${"'\n'".repeat(long.length / 4)}' x`],
  ['a name', (long: string) => `"${long}" x`],
  ['a number', (long: string) => `${'1'.repeat(long.length)} x`],
])('8 MB of %s are read', (_, make) => {
  const tokens = tokensOf(make('y'.repeat(8_000_000)))
  expect(tokens.at(-1)).toBe('word x')
  expect(tokens.length).toBeLessThanOrEqual(2)
})
test('a dollar that never closes is looked for once', () => {
  expect(tokensOf(`${'$a '.repeat(1_000_000)}`)).toHaveLength(2_000_000)
})
