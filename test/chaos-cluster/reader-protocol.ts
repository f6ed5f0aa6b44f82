/** The pool of the reading process. */
export interface ReaderSettings {
  readonly connectionString: string
  readonly replicas: readonly string[]
  readonly maxLagMs: number
  readonly causalityWaitMs: number
  readonly max: number
}

/** What it is to read. */
export interface Asked {
  readonly n: number
  readonly id: number
  readonly token: string | undefined
}

/** What it has read, and how many reads went to replicas so far. */
export interface Answer {
  readonly n: number
  readonly version?: number | undefined
  readonly error?: string
  readonly byReplicas: number
}
