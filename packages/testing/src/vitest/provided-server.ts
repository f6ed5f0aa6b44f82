/** What the global set-up gives to the test files. */
export interface ProvidedServer {
  /** The admin url of the server of this run; of the first, if there are several. */
  readonly url: string
  /** One for each worker; the server of this run alone, unless `lifeguardServers` asks for several. */
  readonly urls: readonly string[]
  /** Databases of this run have names that start with this: several runs can share a server. */
  readonly prefix: string
}

declare module 'vitest' {
  interface ProvidedContext {
    lifeguard: ProvidedServer
    /**
     * `provide: { lifeguardServers: 3 }` in vitest.config.ts: so many servers in place of one, and each worker of vitest
     * keeps to one of them. With `maxWorkers` of the same number no two files share a server at the same time: for tests
     * that look at, or end, what is on the whole server. A server of `LIFEGUARD_TEST_URL` stays the only one.
     *
     * @default 1
     */
    lifeguardServers?: number
  }
}

/** The server for the files of this worker. */
export function serverOfWorker(provided: ProvidedServer): ProvidedServer {
  const worker = Number(process.env['VITEST_POOL_ID'] ?? 1)
  return { ...provided, url: provided.urls[(worker - 1) % provided.urls.length] ?? provided.url }
}
