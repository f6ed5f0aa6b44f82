/** What the global set-up tells the test files. */
export interface ProvidedServer {
  /** The admin url of the server of this run. */
  readonly url: string
  /** Databases of this run have names that start with this: several runs can share a server. */
  readonly prefix: string
}

declare module 'vitest' {
  interface ProvidedContext {
    lifeguard: ProvidedServer
  }
}
