import type { Orm } from '../../orm.js'
import * as kysely from './kysely.js'
import { allAtOnce } from './naive.js'
import * as sql from './sql.js'
import type { Work } from './work.js'

/** What is measured, by the name that the process of its own is started with. */
export interface Measured {
  readonly name: string
  readonly orm: Orm
  readonly work: Work
  /** Whether its memory must not grow with the number of rows. */
  readonly isConstant: boolean
}

export const works: readonly Measured[] = [
  { name: 'stream', orm: 'sql', work: sql.stream, isConstant: true },
  { name: 'stream, Kysely', orm: 'kysely', work: kysely.stream, isConstant: true },
  { name: 'COPY out', orm: 'sql', work: sql.copyOut, isConstant: true },
  { name: 'COPY in', orm: 'sql', work: sql.copyIn, isConstant: true },
  { name: 'query, all at once', orm: 'sql', work: allAtOnce, isConstant: false },
]
