import { fencedBlocks } from './markdown.js'

/** Code that the documentation shows. */
export interface Example {
  readonly path: string
  /** Where it starts in that file. */
  readonly line: number
  readonly code: string
}

/** What stands before an example that imports nothing, in the doc comments of a package whose examples are fragments. */
const before: Readonly<Record<string, string>> = {
  'packages/testing/': [
    "import * as testing from '@pg-lifeguard/testing'",
    "import { useDatabase } from '@pg-lifeguard/testing/vitest'",
    "import pg from 'pg'",
    "import { expect, test } from 'vitest'",
    'const { ClusterError, ClusterStartError, EmbeddedPostgresUnavailableError, PortInUseError } = testing',
    'const { ServerOperationError, ServerUnreachableError, connectToServer, sessionsOf } = testing',
    'const { startCluster, startFaultProxy, stopAllClusters } = testing',
    'declare const cluster: testing.Cluster',
    'declare const database: testing.TestDatabase',
  ].join('; '),
}

/**
 * The example as a module that can be compiled by itself, one line longer at its start. A fragment gets what its
 * package puts before it, and a block of its own, so that it may declare the same names.
 */
export function moduleOf({ path, code }: Example): string {
  const isWhole = /^\s*import\b/m.test(code)
  const [, prelude] = isWhole ? [] : (Object.entries(before).find(([folder]) => path.startsWith(folder)) ?? [])
  return prelude === undefined ? `export {}\n${code}\n` : `${prelude}; {\n${code}\n}\n`
}

/** Every block of TypeScript in a markdown file. */
export function examplesOfMarkdown(path: string, text: string): Example[] {
  return fencedBlocks(text)
    .filter(({ language }) => language === 'ts')
    .map(({ code, line }) => ({ path, line, code }))
}

/** Every `@example` in the doc comments of a source file, with or without a fence around it. */
export function examplesOfSource(path: string, text: string): Example[] {
  const found: Example[] = []
  for (const comment of text.matchAll(/\/\*\*[\s\S]*?\*\//g)) {
    const firstLine = text.slice(0, comment.index).split('\n').length
    const lines = comment[0].split('\n').map((line) => line.replace(/^\s*(\/\*\*|\*\/|\* ?)/, '').replace(/\*\/$/, ''))
    for (const [index, line] of lines.entries()) {
      if (!/^\s*@example\b/.test(line)) continue
      const rest = lines.slice(index + 1)
      const end = rest.findIndex((next) => /^@\w/.test(next))
      const body = (end === -1 ? rest : rest.slice(0, end)).join('\n')
      const [block] = fencedBlocks(body)
      if (block === undefined) found.push({ path, line: firstLine + index + 1, code: body })
      else found.push({ path, line: firstLine + index + block.line, code: block.code })
    }
  }
  return found
}
