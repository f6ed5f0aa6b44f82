import { parseSync, Visitor } from 'oxc-parser'
import { describe, expect, test } from 'vitest'
import { files, read } from '../support/workspace.js'
import { sections } from './markdown.js'

/** What the source says of one error class. */
interface ErrorClass {
  readonly name: string
  /** The value of `retryable`; undefined when it is decided for each error. */
  readonly retryable: boolean | undefined
}

const union = codesOfUnion('packages/core/src/errors/lifeguard-error.ts')
const classes = new Map(files('packages/core/src/errors/*.ts').flatMap((path) => [...classesIn(path)]))
const documented = sections(read('docs/errors.md'), 3)

function codesOfUnion(path: string): string[] {
  const codes: string[] = []
  new Visitor({
    TSTypeAliasDeclaration({ id, typeAnnotation }) {
      if (id.name !== 'LifeguardErrorCode' || typeAnnotation.type !== 'TSUnionType') return
      for (const one of typeAnnotation.types) {
        if (one.type === 'TSLiteralType' && one.literal.type === 'Literal') codes.push(String(one.literal.value))
      }
    },
  }).visit(parseSync(path, read(path)).program)
  return codes
}

function classesIn(path: string): Map<string, ErrorClass> {
  const found = new Map<string, ErrorClass>()
  new Visitor({
    ClassDeclaration({ id, body }) {
      const values = new Map<string, unknown>()
      for (const member of body.body) {
        if (member.type !== 'PropertyDefinition' || member.key.type !== 'Identifier') continue
        values.set(member.key.name, member.value?.type === 'Literal' ? member.value.value : undefined)
      }
      const code = values.get('code')
      const retryable = values.get('retryable')
      if (typeof code !== 'string' || id === null) return
      found.set(code, { name: id.name, retryable: typeof retryable === 'boolean' ? retryable : undefined })
    },
  }).visit(parseSync(path, read(path)).program)
  return found
}

test('docs/errors.md has each code of the union once, and no other', () => {
  expect(union.length).toBeGreaterThan(10)
  expect([...documented.keys()].sort()).toEqual([...union].sort())
  expect([...classes.keys()].sort()).toEqual([...union].sort())
})

describe.each(union)('%s', (code) => {
  const section = documented.get(code) ?? ''
  const known = classes.get(code)

  test.each(['Class', 'Meaning', 'When', 'What to do', 'Retryable'])('says its %s', (what) => {
    expect(section).toMatch(new RegExp(`^- ${what}: .{2,}`, 'm'))
  })

  test('names its class', () => {
    expect(/^- Class: `(\w+)`/m.exec(section)?.[1]).toBe(known?.name)
  })

  test('is retryable as the class says', () => {
    const expected = { true: 'yes', false: 'no', undefined: 'depends' }[String(known?.retryable)]
    expect(/^- Retryable: (\w+)/m.exec(section)?.[1]).toBe(expected)
  })
})
