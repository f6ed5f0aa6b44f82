import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { type Cluster, ClusterStartError, PortInUseError, startCluster, stopAllClusters } from '@pg-lifeguard/testing'
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { childrenOf, isAlive } from '../dist/cluster/keeper/process-tree.js'
import { waitUntil } from '../dist/cluster/wait-until.js'
import {
  ended,
  expectNothingLeftSoon,
  familyOf,
  leftovers,
  nothing,
  openFolder,
  reportOf,
  startProgram,
} from './cluster-fixtures/program.js'

let temp: ReturnType<typeof openFolder>

beforeEach(() => {
  temp = openFolder()
  vi.stubEnv('TMPDIR', temp.path)
})

afterEach(() => {
  vi.unstubAllEnvs()
  temp[Symbol.dispose]()
})

/** The System V segments of the servers, which outlive a killed one: the second number of line 7 in postmaster.pid. */
function sharedMemoryOf(cluster: Cluster): string[] {
  return ['primary', 'replica-1'].map((name) => {
    const line = readFileSync(`${cluster.folder}/${name}/postmaster.pid`, 'utf8').split('\n')[6] ?? ''
    return line.trim().split(/\s+/)[1] ?? ''
  })
}

interface Segment {
  readonly id: string
  readonly creator: number
}

/** Only Linux shows them in a file. */
function sharedMemory(): Segment[] {
  if (process.platform !== 'linux') return []
  const rows = readFileSync('/proc/sysvipc/shm', 'utf8').trim().split('\n').slice(1)
  return rows.map((row) => {
    const [, id = '', , , creator] = row.trim().split(/\s+/)
    return { id, creator: Number(creator) }
  })
}

function segmentsLeft(ids: readonly string[]): string[] {
  return sharedMemory().flatMap(({ id }) => (ids.includes(id) ? [id] : []))
}

async function everythingOf(cluster: Cluster) {
  const nodes = [cluster.primary, ...cluster.replicas]
  const pids = (await childrenOf(process.pid)).concat(nodes.flatMap(({ pid }) => (pid === undefined ? [] : [pid])))
  return { pids, ports: nodes.map(({ port }) => port), temp: temp.path }
}

describe('in the process that starts it', () => {
  test('stop() leaves no process, no port and no folder, whatever is connected', async () => {
    const cluster = await startCluster({ replicas: 1 })
    const all = await everythingOf(cluster)
    expect(existsSync(cluster.folder)).toBe(true)
    expect(all.pids.filter(isAlive).length).toBeGreaterThanOrEqual(3)
    const client = new pg.Client(cluster.url)
    client.on('error', () => undefined)
    await client.connect()
    const gone = new Promise((resolve) => client.once('end', resolve))

    await cluster.stop()

    expect(await leftovers(all)).toEqual(nothing)
    await gone
    await cluster.stop()
    await expect(cluster.primary.start()).rejects.toThrow(/the cluster is stopped/)
  })

  test('stop() also removes servers that were killed or frozen by the test', async () => {
    const cluster = await startCluster({ replicas: 1 })
    const all = await everythingOf(cluster)
    const segments = sharedMemoryOf(cluster)
    await cluster.replicas[0]?.kill()
    process.kill(cluster.primary.pid ?? 0, 'SIGSTOP')
    await cluster.stop()
    expect(await leftovers(all)).toEqual(nothing)
    expect(segmentsLeft(segments)).toEqual([])
  })

  test('a start that fails cleans up, and its message has the end of the server log', async () => {
    const start = startCluster({ settings: { max_connections: 'many' } })
    await expect(start).rejects.toThrow(ClusterStartError)
    await expect(start).rejects.toThrow(/max_connections.*many/s)
    await expect(start).rejects.toMatchObject({ code: 'CLUSTER_START_FAILED' })
    expect(readdirSync(temp.path)).toEqual([])
  })

  test('a replica that fails to start takes the whole start down', async () => {
    // Fewer than the primary has: a hot standby refuses that.
    const start = startCluster({ replicas: 1, replicaSettings: { max_connections: 10 } })
    await expect(start).rejects.toThrow(/replica-1 .*max_connections/s)
    expect(readdirSync(temp.path)).toEqual([])
  })

  test('a start that is aborted half way rejects with the reason and cleans up', async () => {
    const controller = new AbortController()
    const reason = new Error('enough')
    const start = startCluster({ replicas: 1, signal: controller.signal })
    start.catch(() => undefined)
    // The worst moment: initdb has a server at work, which must not leave its shared memory.
    const interrupted = await waitUntil(
      async () => {
        const family = await familyOf(process.pid)
        const ids = sharedMemory().flatMap(({ id, creator }) => (family.includes(creator) ? [id] : []))
        const reached = process.platform === 'linux' ? ids.length > 0 : readdirSync(temp.path).length > 0
        return reached ? { family, ids } : undefined
      },
      { timeoutMs: 10_000, intervalMs: 1 },
    )
    const pids = (interrupted?.family ?? []).filter((pid) => pid !== process.pid)
    expect(pids.length).toBeGreaterThan(0)
    controller.abort(reason)
    await expect(start).rejects.toBe(reason)
    expect(await leftovers({ pids, ports: [], temp: temp.path })).toEqual(nothing)
    expect(segmentsLeft(interrupted?.ids ?? [])).toEqual([])
    await expect(startCluster({ signal: controller.signal })).rejects.toBe(reason)
  })

  test('a start that takes longer than timeoutMs fails and cleans up', async () => {
    await expect(startCluster({ timeoutMs: 100 })).rejects.toThrow('the cluster was not up within 100 ms')
    expect(readdirSync(temp.path)).toEqual([])
  })

  test('a taken port gives one line that names it', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as { port: number }
    try {
      const start = startCluster({ port })
      await expect(start).rejects.toThrow(PortInUseError)
      await expect(start).rejects.toMatchObject({
        code: 'PORT_IN_USE',
        port,
        message: `port ${port} on 127.0.0.1 is in use: stop what listens there, or leave \`port\` out to get a free one`,
      })
    } finally {
      other.close()
    }
    expect(readdirSync(temp.path)).toEqual([])
  })

  test('a TMPDIR that is not there is named', async () => {
    vi.stubEnv('TMPDIR', `${temp.path}/missing`)
    await expect(startCluster()).rejects.toThrow(`no folder can be made in ${temp.path}/missing`)
  })

  test('invalid options are refused before anything starts', async () => {
    await expect(startCluster({ replicas: -1 })).rejects.toThrow('replicas must be an integer from 0 to 8, not -1')
    await expect(startCluster({ port: 70_000 })).rejects.toThrow('port must be an integer from 1 to 65535, not 70000')
    await expect(startCluster({ timeoutMs: 0 })).rejects.toThrow(/timeoutMs must be an integer from 1/)
    await expect(startCluster({ settings: { port: 1 } })).rejects.toThrow('settings.port cannot be set')
    await expect(startCluster({ settings: { 'a b': 1 } })).rejects.toThrow('"a b", which is not the name')
  })

  test('stopAllClusters() stops what this process has started', async () => {
    const clusters = await Promise.all([startCluster(), startCluster()])
    await stopAllClusters()
    expect(clusters.flatMap(({ primary }) => (primary.running ? [primary.pid] : []))).toEqual([])
    expect(readdirSync(temp.path)).toEqual([])
  })

  test('a keeper that is killed takes its servers and its folder along', async () => {
    const before = await childrenOf(process.pid)
    const cluster = await startCluster({ replicas: 1 })
    const all = await everythingOf(cluster)
    const keepers = (await childrenOf(process.pid)).filter((pid) => !before.includes(pid))
    expect(keepers).toHaveLength(1)
    const segments = sharedMemoryOf(cluster)
    for (const keeper of keepers) process.kill(keeper, 'SIGKILL')
    await expect(cluster.primary.kill()).rejects.toThrow("kill: the cluster's keeper process ended with SIGKILL")
    expect(await leftovers(all)).toEqual(nothing)
    expect(segmentsLeft(segments)).toEqual([])
    expect(cluster.primary.running).toBe(false)
    await cluster.stop()
  })

  test.each([
    ['/nowhere/node', "the cluster's keeper process could not be run: spawn /nowhere/node ENOENT"],
    ['/bin/false', "the cluster's keeper process ended with 1"],
  ])('a keeper that does not come up is reported: %s', async (execPath, message) => {
    const original = process.execPath
    process.execPath = execPath
    const start = startCluster()
    process.execPath = original
    await expect(start).rejects.toThrow(ClusterStartError)
    await expect(start).rejects.toThrow(message)
  })
})

describe('a program', () => {
  test('that stops its cluster ends with nothing left', async () => {
    const program = startProgram({ args: ['stop', 'replica'], temp: temp.path })
    const { servers } = await reportOf(program)
    expect(await ended(program)).toEqual({ code: 0, signal: null })
    const [pids, ports] = [servers.map(({ pid }) => pid), servers.map(({ port }) => port)]
    expect(await leftovers({ pids, ports, temp: temp.path })).toEqual(nothing)
  })

  test('that forgets to stop its cluster is not kept running by it, and is cleaned up after', async () => {
    const program = startProgram({ args: ['leave'], temp: temp.path })
    const { servers } = await reportOf(program)
    expect(await ended(program)).toEqual({ code: 0, signal: null })
    const [pids, ports] = [servers.map(({ pid }) => pid), servers.map(({ port }) => port)]
    await expectNothingLeftSoon({ pids, ports, temp: temp.path })
  })

  test.each(['SIGKILL', 'SIGINT', 'SIGTERM'] as const)(
    'ended by %s to its process group leaves nothing',
    async (signal) => {
      const program = startProgram({ args: ['wait', 'replica'], temp: temp.path })
      const { servers } = await reportOf(program)
      const pids = await familyOf(program.pid ?? 0)
      expect(pids).toEqual(expect.arrayContaining(servers.map(({ pid }) => pid)))
      process.kill(-(program.pid ?? 0), signal)
      expect(await ended(program)).toEqual({ code: null, signal })
      await expectNothingLeftSoon({ pids, ports: servers.map(({ port }) => port), temp: temp.path })
    },
  )

  test('killed while the cluster is starting leaves nothing', async () => {
    const program = startProgram({ args: ['wait', 'replica'], temp: temp.path })
    await waitUntil(async () => (readdirSync(temp.path).length > 0 ? true : undefined), { timeoutMs: 10_000 })
    const pids = await familyOf(program.pid ?? 0)
    process.kill(-(program.pid ?? 0), 'SIGKILL')
    await ended(program)
    await expectNothingLeftSoon({ pids, ports: [], temp: temp.path })
  })

  test('with handleSignals, nothing is left at the moment it ends by Ctrl-C', async () => {
    const signal = 'SIGINT'
    const program = startProgram({ args: ['wait', 'replica', 'signals'], temp: temp.path })
    const { servers } = await reportOf(program)
    const pids = await familyOf(program.pid ?? 0)
    process.kill(-(program.pid ?? 0), signal)
    expect(await ended(program)).toEqual({ code: null, signal })
    const ports = servers.map(({ port }) => port)
    expect(await leftovers({ pids, ports, temp: temp.path })).toEqual(nothing)
  })

  test('with handleSignals, Ctrl-C in the middle of the start leaves nothing either', async () => {
    const program = startProgram({ args: ['wait', 'replica', 'signals'], temp: temp.path })
    await waitUntil(async () => (readdirSync(temp.path).length > 0 ? true : undefined), { timeoutMs: 10_000 })
    const pids = await familyOf(program.pid ?? 0)
    process.kill(-(program.pid ?? 0), 'SIGINT')
    expect(await ended(program)).toEqual({ code: null, signal: 'SIGINT' })
    expect(await leftovers({ pids, ports: [], temp: temp.path })).toEqual(nothing)
  })
})
