import { parseSync, type Span, Visitor } from 'oxc-parser'

/** A module that a file names: by import, by re-export, by `import()` or in a type, `import('x').T`. */
export interface Import {
  readonly specifier: string
  readonly line: number
  /** Erased by the compiler: nothing of it is left in the JavaScript. */
  readonly isType: boolean
  readonly isReExport: boolean
}

/** A name or a string literal in the code, and where it stands. */
export interface Mention {
  readonly text: string
  readonly line: number
}

/** What the rules need to know of one file. */
export interface SourceFile {
  /** From the root, with `/`. */
  readonly path: string
  readonly lines: number
  readonly imports: readonly Import[]
  /** Every identifier that is read, properties as `object.property`; comments and strings are not code. */
  readonly identifiers: readonly Mention[]
  readonly strings: readonly Mention[]
  /** Text that is part of something larger: regular expressions, the fixed parts of templates, keys that are numbers. */
  readonly fragments: readonly Mention[]
  /** Names of the classes, interfaces, types, enums and functions that are declared. */
  readonly declared: readonly Mention[]
  /** Where the type `any` is written out. */
  readonly anys: readonly number[]
  /** `export * from`, without a name. */
  readonly starExports: readonly Mention[]
  /** Nothing but re-exports. */
  readonly isBarrel: boolean
}

/** @throws when the text is not TypeScript, as no rule could be trusted then. */
export function parseSource(path: string, text: string): SourceFile {
  const { program, module, errors } = parseSync(path, text)
  const [error] = errors
  if (error !== undefined) throw new Error(`${path} does not parse: ${error.message}`)
  const lineOf = lineFinder(text)
  const imports: Import[] = []
  const identifiers: Mention[] = []
  const strings: Mention[] = []
  const fragments: Mention[] = []
  const declared: Mention[] = []
  const anys: number[] = []
  const starExports: Mention[] = []
  const declare = (id: ({ readonly name: string } & Span) | null): void => {
    if (id !== null) declared.push({ text: id.name, line: lineOf(id.start) })
  }
  for (const one of module.staticImports) {
    const { value, start } = one.moduleRequest
    imports.push({ specifier: value, line: lineOf(start), isType: false, isReExport: false })
  }
  // What the module record does not say: whether an import is erased, and the modules that only types name.
  const erased = new Set<number>()
  new Visitor({
    ImportDeclaration(node) {
      const named = node.specifiers
      const onlyTypes =
        named.length > 0 && named.every((one) => one.type === 'ImportSpecifier' && one.importKind === 'type')
      if (node.importKind === 'type' || onlyTypes) erased.add(lineOf(node.source.start))
    },
    ExportNamedDeclaration(node) {
      if (node.source === null) return
      const onlyTypes = node.specifiers.length > 0 && node.specifiers.every((one) => one.exportKind === 'type')
      const isType = node.exportKind === 'type' || onlyTypes
      imports.push({ specifier: node.source.value, line: lineOf(node.source.start), isType, isReExport: true })
    },
    ExportAllDeclaration(node) {
      const { value, start } = node.source
      const line = lineOf(start)
      imports.push({ specifier: value, line, isType: node.exportKind === 'type', isReExport: true })
      if (node.exported === null) starExports.push({ text: value, line })
    },
    ImportExpression(node) {
      const { source } = node
      if (source.type !== 'Literal' || typeof source.value !== 'string') return
      imports.push({ specifier: source.value, line: lineOf(source.start), isType: false, isReExport: false })
    },
    TSImportType(node) {
      imports.push({ specifier: node.source.value, line: lineOf(node.source.start), isType: true, isReExport: false })
    },
    Identifier(node) {
      identifiers.push({ text: node.name, line: lineOf(node.start) })
    },
    MemberExpression(node) {
      if (node.object.type !== 'Identifier' || node.property.type !== 'Identifier' || node.computed) return
      identifiers.push({ text: `${node.object.name}.${node.property.name}`, line: lineOf(node.start) })
    },
    NewExpression(node) {
      if (node.callee.type !== 'Identifier') return
      // With arguments it is another thing: `new Date()` reads the clock, `new Date(value)` does not.
      const text = `new ${node.callee.name}${node.arguments.length === 0 ? '' : '(...)'}`
      identifiers.push({ text, line: lineOf(node.start) })
    },
    Literal(node) {
      if (typeof node.value === 'string') strings.push({ text: node.value, line: lineOf(node.start) })
      if ('regex' in node) fragments.push({ text: node.regex.pattern, line: lineOf(node.start) })
    },
    TemplateElement(node) {
      fragments.push({ text: node.value.raw, line: lineOf(node.start) })
    },
    Property(node) {
      if (node.key.type !== 'Literal' || typeof node.key.value !== 'number') return
      fragments.push({ text: String(node.key.value), line: lineOf(node.start) })
    },
    ClassDeclaration: (node) => declare(node.id),
    FunctionDeclaration: (node) => declare(node.id),
    TSInterfaceDeclaration: (node) => declare(node.id),
    TSTypeAliasDeclaration: (node) => declare(node.id),
    TSEnumDeclaration: (node) => declare(node.id),
    TSAnyKeyword(node) {
      anys.push(lineOf(node.start))
    },
  }).visit(program)
  const reExports = program.body.filter(
    (node) => node.type === 'ExportAllDeclaration' || (node.type === 'ExportNamedDeclaration' && node.source !== null),
  )
  return {
    path,
    lines: text.split('\n').length - (text.endsWith('\n') ? 1 : 0),
    imports: imports.map((one) => (!one.isReExport && erased.has(one.line) ? { ...one, isType: true } : one)),
    identifiers,
    strings,
    fragments,
    declared,
    anys,
    starExports,
    isBarrel: reExports.length > 0 && reExports.length === program.body.length,
  }
}

function lineFinder(text: string): (offset: number) => number {
  const starts = [0]
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  return (offset) => starts.findLastIndex((start) => start <= offset) + 1
}
