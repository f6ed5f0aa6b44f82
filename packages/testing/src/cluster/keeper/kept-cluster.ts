import { chownSync, mkdtempSync, realpathSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { defaultSettings, renderSettings } from '../default-settings.js'
import { ClusterStartError, PortInUseError, ServerOperationError } from '../errors.js'
import type { ClusterSpec, CreatedServer, StopMode } from '../keeper-protocol.js'
import { type Account, pickAccount } from './account.js'
import { appendSettings, copyDataFolder, initDataFolder, makeStandby } from './data-folder.js'
import { findFreePort, isPortFree } from './free-port.js'
import { ServerProcess } from './server-process.js'
import { usableBinaries } from './usable-binaries.js'

export interface KeptClusterOptions {
  readonly onFolder: (folder: string) => void
  readonly onExit: (server: string, pid: number) => void
}

/** The cluster as the keeper process has it: a folder and the servers in it. */
export class KeptCluster {
  readonly #options: KeptClusterOptions
  readonly #servers = new Map<string, ServerProcess>()
  /** Aborted when the cluster has to go; whatever is starting then stops. */
  readonly #ending = new AbortController()
  readonly #underWay = new Set<Promise<unknown>>()
  #folder: string | undefined

  constructor(options: KeptClusterOptions) {
    this.#options = options
  }

  create(spec: ClusterSpec): Promise<CreatedServer[]> {
    return this.#tracked(this.#create(spec))
  }

  start(server: string, timeoutMs: number): Promise<number> {
    return this.#tracked(this.#server(server).start(this.#ending.signal, timeoutMs))
  }

  stop(server: string, mode: StopMode, timeoutMs: number): Promise<void> {
    return this.#server(server).stop(mode, timeoutMs)
  }

  kill(server: string): Promise<void> {
    return this.#server(server).kill()
  }

  log(server: string): readonly string[] {
    return this.#server(server).log
  }

  /** Nothing is left afterwards: no process, no folder. */
  async destroy(): Promise<void> {
    this.#ending.abort(new ServerOperationError('the cluster is being stopped'))
    const servers = () => [...this.#servers.values()]
    const first = await Promise.allSettled(servers().map((server) => server.destroy()))
    // What was starting at that moment has been asked to stop; only then does nobody use the folder.
    await Promise.allSettled(this.#underWay)
    const second = await Promise.allSettled(servers().map((server) => server.destroy()))
    if (this.#folder !== undefined) await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 })
    const failed = [...first, ...second].find((result) => result.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }

  #server(name: string): ServerProcess {
    const server = this.#servers.get(name)
    if (server === undefined) throw new ServerOperationError(`bug: the cluster has no server ${name}`)
    return server
  }

  async #tracked<T>(work: Promise<T>): Promise<T> {
    this.#underWay.add(work)
    try {
      return await work
    } finally {
      this.#underWay.delete(work)
    }
  }

  async #create(spec: ClusterSpec): Promise<CreatedServer[]> {
    const { signal } = this.#ending
    // Before the half second of initdb, which would be for nothing.
    if (spec.port !== undefined && !(await isPortFree(spec.port))) throw new PortInUseError(spec.port)
    const account = pickAccount()
    const folder = this.#makeFolder(account)
    const binaries = await usableBinaries({ binaries: spec.binaries, account, folder, signal })
    const primaryData = path.join(folder, 'primary')
    await initDataFolder(primaryData, { binaries, account, folder, password: spec.password, signal })

    const names = Array.from({ length: spec.replicas }, (_, index) => `replica-${index + 1}`)
    for (const name of names) {
      signal.throwIfAborted()
      copyDataFolder(primaryData, path.join(folder, name), account)
    }
    appendSettings(primaryData, renderSettings(defaultSettings, spec.settings))
    const launch = (name: string, port?: number) =>
      this.#launch({ name, port, folder, binaries: binaries.folder, account })
    const primary = await launch('primary', spec.port)
    const replicas = names.map(async (name) => {
      const data = path.join(folder, name)
      appendSettings(data, renderSettings(defaultSettings, spec.settings, spec.replicaSettings))
      makeStandby(data, { name, primaryPort: primary.port, password: spec.password, account })
      return await launch(name)
    })
    return [primary, ...(await allOrFirstError(replicas))]
  }

  #makeFolder(account: Account | undefined): string {
    let folder: string
    try {
      folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'lifeguard-')))
    } catch (cause) {
      throw new ClusterStartError(`no folder can be made in ${tmpdir()}: set TMPDIR to one that you may write to`, {
        cause,
      })
    }
    this.#folder = folder
    this.#options.onFolder(folder)
    if (account !== undefined) chownSync(folder, account.uid, account.gid)
    return folder
  }

  /** Without a wanted port: a free one, and another one if somebody takes it in the meantime. */
  async #launch(options: {
    name: string
    port: number | undefined
    folder: string
    binaries: string
    account: Account | undefined
  }): Promise<CreatedServer> {
    const { name, folder, binaries, account } = options
    for (let attempt = 1; ; attempt++) {
      const port = options.port ?? (await findFreePort())
      const server = new ServerProcess({
        name,
        port,
        binaries,
        account,
        dataFolder: path.join(folder, name),
        onExit: (pid) => this.#options.onExit(name, pid),
      })
      this.#servers.set(name, server)
      try {
        // The caller's own deadline ends the whole start; this one only must not be shorter.
        return { name, port, pid: await server.start(this.#ending.signal, 600_000) }
      } catch (error) {
        if (!(error instanceof PortInUseError) || options.port !== undefined || attempt === 5) throw error
      }
    }
  }
}

/** Waits for all, so that none is still starting, and then throws the first error. */
async function allOrFirstError<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(promises)
  return Promise.all(promises)
}
