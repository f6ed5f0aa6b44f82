import { parseSync, Visitor } from 'oxc-parser'
import { expect, test } from 'vitest'
import { read } from '../support/workspace.js'

const page = read('docs/events.md')
const table = page.slice(page.indexOf('<!-- events -->'), page.indexOf('<!-- end of events -->'))

/** The rows of the page's table: the event, and the fields that it names. */
const documented = new Map(
  table
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => {
      const [, event = '', , fields = ''] = line.split('|').map((cell) => cell.trim())
      return [event.replaceAll('`', ''), fields] as const
    }),
)

interface Declared {
  /** Names of its properties, in order. */
  readonly names: string[]
  /** The types that they refer to, by name. */
  readonly types: Map<string, string>
  readonly parents: string[]
}

/** The interfaces of a file. */
function interfacesIn(path: string): Map<string, Declared> {
  const found = new Map<string, Declared>()
  new Visitor({
    TSInterfaceDeclaration({ id, body, extends: parents }) {
      const names: string[] = []
      const types = new Map<string, string>()
      for (const member of body.body) {
        if (member.type !== 'TSPropertySignature') continue
        const { key } = member
        const name = key.type === 'Identifier' ? key.name : key.type === 'Literal' ? String(key.value) : ''
        names.push(name)
        const type = member.typeAnnotation?.typeAnnotation
        if (type?.type === 'TSTypeReference' && type.typeName.type === 'Identifier') types.set(name, type.typeName.name)
      }
      const above = parents.flatMap(({ expression }) => (expression.type === 'Identifier' ? [expression.name] : []))
      found.set(id.name, { names, types, parents: above })
    },
  }).visit(parseSync(path, read(path)).program)
  return found
}

const declared = new Map([
  ...interfacesIn('packages/core/src/cluster/events.ts'),
  ...interfacesIn('packages/core/src/server/events.ts'),
  ...interfacesIn('packages/core/src/transaction/environment.ts'),
  ...interfacesIn('packages/core/src/resilience/circuit-breaker.ts'),
])
const events = new Map(
  ['ClusterEvents', 'ServerEvents', 'SessionEvents'].flatMap((name) => [...(declared.get(name)?.types ?? [])]),
)

/** Every field of an event but those that all of them share. */
function fieldsOf(type: string): string[] {
  const { names, parents } = declared.get(type) ?? { names: [], parents: [] }
  const shared = new Set(['pid', ...(declared.get('ServerEvent')?.names ?? [])])
  return [...parents.flatMap(fieldsOf), ...names].filter((name) => !shared.has(name))
}

test('every event is in the table of docs/events.md, and no other', () => {
  expect(events.size).toBeGreaterThan(15)
  expect([...documented.keys()].sort()).toEqual([...events.keys()].sort())
})

test.each([...events])('the fields of %s are named there', (event, type) => {
  const fields = documented.get(event) ?? ''
  expect(fieldsOf(type)).not.toEqual([])
  if (fields === 'as `query`') return
  expect(fieldsOf(type).filter((field) => !fields.includes(`\`${field}\``))).toEqual([])
})

test('the reasons to close a connection are named, all of them', () => {
  const source = read('packages/core/src/resource-pool/resource.ts')
  const reasons = [...(/export type CloseReason = ([^\n]*)/.exec(source)?.[1] ?? '').matchAll(/'([a-z]+)'/g)]
  expect(reasons.length).toBeGreaterThan(6)
  expect(reasons.map(([, reason]) => reason).filter((reason) => !page.includes(`\`${reason}\``))).toEqual([])
})
