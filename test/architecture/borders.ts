import { packageName } from './modules.js'
import type { SourceFile } from './source-file.js'

const core = 'packages/core/'
const testing = 'packages/testing/'
/** Tests in the form of a package: what a test may know, it may. */
const conformance = 'packages/conformance/'
/** What adapters know of this house: the core as its users do, and what it has for adapters. */
const forAdapters: ReadonlySet<string> = new Set(['@pg-lifeguard/core', '@pg-lifeguard/core/adapter'])
/** ORMs, each of which one adapter knows, and the core none. */
const orms = /^(kysely|drizzle-orm|@prisma\/|prisma$|typeorm|sequelize|@mikro-orm\/|slonik$|knex$)/
const drivers = /^(pg|pg-[\w-]+|@types\/pg|postgres)$/
const timing =
  /^(setTimeout|setInterval|setImmediate|clearTimeout|clearInterval|clearImmediate|Date\.now|new Date|performance\.now|process\.hrtime|AbortSignal\.timeout|Math\.random)$/
const timingModules = /^node:(timers|perf_hooks)(\/|$)/
/** Five digits or capitals with a digit among them; words such as BEGIN have none. */
const sqlState = /^(?=.*\d)[0-9A-Z]{5}$/
/** The first two of the five, by which a whole class is meant. */
const sqlStateClass = /^([0-9]{2}|HV|P0|XX)$/
const sqlStateWithin = /(?<![0-9A-Za-z_])(?=[A-Z]*\d)[0-9A-Z]{5}(?![0-9A-Za-z_])/

function finding(file: SourceFile, line: number, what: string): string {
  return `${file.path}:${line} ${what}`
}

/** In the core only connection/ talks to the driver; an adapter never does. The testing package is no part of either. */
export function driverOutsideConnection(files: readonly SourceFile[]): string[] {
  return files
    .filter(({ path }) => !path.startsWith(`${core}src/connection/`) && !path.startsWith(testing))
    .flatMap((file) =>
      file.imports
        .filter(({ specifier }) => drivers.test(packageName(specifier) ?? ''))
        .map(({ specifier, line }) =>
          finding(file, line, `imports ${specifier}: only packages/core/src/connection/ may`),
        ),
    )
}

/** Time and chance are injected; deadline/ alone gets them from the system. */
export function timeOutsideDeadline(files: readonly SourceFile[]): string[] {
  return files
    .filter(
      ({ path }) =>
        !path.startsWith(`${core}src/deadline/`) && !path.startsWith(testing) && !path.startsWith(conformance),
    )
    .flatMap((file) => [
      ...file.identifiers
        .filter(({ text }) => timing.test(text))
        .map(({ text, line }) => finding(file, line, `uses ${text}: time and chance come from a Clock or a Random`)),
      ...file.imports
        .filter(({ specifier }) => timingModules.test(specifier))
        .map(({ specifier, line }) => finding(file, line, `imports ${specifier}: time comes from a Clock`)),
    ])
}

/** Files that translate SQLSTATEs into the error kinds of an ORM, and decide nothing by them. */
const translations: ReadonlySet<string> = new Set(['packages/prisma/src/driver-error.ts'])

/** What a SQLSTATE means is said once, in errors/: whoever else needs to know asks classify(). */
export function sqlStateOutsideErrors(files: readonly SourceFile[]): string[] {
  return files
    .filter(
      ({ path }) =>
        !path.startsWith(`${core}src/errors/`) &&
        !path.startsWith(testing) &&
        !path.startsWith(conformance) &&
        !translations.has(path),
    )
    .flatMap((file) =>
      [
        ...file.strings.filter(({ text }) => sqlState.test(text) || sqlStateClass.test(text)),
        ...file.fragments.filter(({ text }) => sqlStateWithin.test(text)),
      ].map(({ text, line }) => finding(file, line, `names the SQLSTATE ${text}: classify() in errors/ knows them`)),
    )
}

/**
 * Who may know whom: the core and the testing package know no other package of this house and no ORM; an adapter knows
 * the core by its names, not by a path into it. The cases of conformance know the core and the testing package.
 */
export function wrongNeighbours(files: readonly SourceFile[]): string[] {
  const found: string[] = []
  for (const file of files) {
    const isAlone = file.path.startsWith(core) || file.path.startsWith(testing)
    for (const { specifier, line } of file.imports) {
      const name = packageName(specifier)
      if (name === undefined) continue
      const isOfThisHouse = name.startsWith('@pg-lifeguard/')
      if (isAlone && isOfThisHouse)
        found.push(finding(file, line, `imports ${specifier}: it may know no package above it`))
      else if (file.path.startsWith(conformance)) {
        if (isOfThisHouse && specifier !== '@pg-lifeguard/core' && specifier !== '@pg-lifeguard/testing')
          found.push(finding(file, line, `imports ${specifier}: its cases know no adapter, subjects are in its tests`))
        if (orms.test(name)) found.push(finding(file, line, `imports ${specifier}: its cases know no ORM`))
      } else if (isOfThisHouse && !forAdapters.has(specifier)) {
        found.push(finding(file, line, `imports ${specifier}: of this house an adapter knows @pg-lifeguard/core alone`))
      }
      if (isAlone && orms.test(name)) found.push(finding(file, line, `imports ${specifier}: ORMs are for the adapters`))
    }
  }
  return found
}

/** A test that is skipped tests nothing, and one that is singled out skips all others. */
export function laxTests(files: readonly SourceFile[]): string[] {
  const skipping = /^(test|it|describe|suite)\.(skip|todo|skipIf|runIf|only)$/
  return files.flatMap((file) =>
    file.identifiers
      .filter(({ text }) => skipping.test(text))
      .map(({ text, line }) => finding(file, line, `says ${text}: every test runs, everywhere`)),
  )
}

/** Packages that come back to themselves through what they depend on, development included. */
export function packageCircles(dependencies: ReadonlyMap<string, readonly string[]>): string[] {
  const reaches = (from: string, to: string, seen: Set<string>): boolean =>
    (dependencies.get(from) ?? []).some((next) => {
      if (next === to) return true
      if (seen.has(next)) return false
      seen.add(next)
      return reaches(next, to, seen)
    })
  return [...dependencies.keys()]
    .filter((name) => reaches(name, name, new Set()))
    .map((name) => `${name} depends on itself`)
}
