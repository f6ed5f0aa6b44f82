import type { RuleHandle } from '@pg-lifeguard/testing'
import { until } from '../support/until.js'
import type { Mode, Moment } from './cell.js'
import { commitLock, type Stage } from './stage.js'

/** Keeps every transaction of a cell at one moment of its life, until the fault has struck. */
export interface Hold {
  /** To be awaited by a transaction between its two statements, in its first attempt. */
  between(): Promise<void>
  /** Settles when so many transactions are held. */
  reached(count: number): Promise<void>
  /** Lets go of those that the fault has left. */
  release(): Promise<void>
}

const passes = async (): Promise<void> => undefined

/** Between two statements of the callback. */
function atGate(): Hold {
  const gate = Promise.withResolvers<void>()
  let arrived = 0
  return {
    between: async () => {
      arrived += 1
      await gate.promise
    },
    reached: (count) => until('all are between their statements', () => arrived === count),
    release: async () => gate.resolve(),
  }
}

/** In the proxy: the connection stands still there. */
function atMessage(stage: Stage, rule: RuleHandle): Hold {
  const { proxy } = stage
  return {
    between: passes,
    reached: (count) => until('all are held by the proxy', async () => (await rule.count()) === count),
    release: async () => {
      // Behind a promotion there is another proxy, and nothing left to let go of.
      if (stage.proxy === proxy) await proxy.resume()
    },
  }
}

/** On the server, at work on COMMIT, in front of its commit record. */
async function atLock(stage: Stage, modes: readonly Mode[]): Promise<Hold> {
  const holder = await stage.connect()
  await holder.query('select pg_advisory_lock($1)', [commitLock])
  const waiting = (): Promise<number[]> => stage.backends(modes, "wait_event = 'advisory'")
  return {
    between: passes,
    reached: (count) => until('all are at COMMIT', async () => (await waiting()).length === count),
    release: () => holder.end(),
  }
}

/** On the server, after the commit record: it waits for a standby that does not exist, and has not answered. */
async function atReplication(stage: Stage, modes: readonly Mode[]): Promise<Hold> {
  const configure = async (sql: string): Promise<void> => {
    await stage.ask(sql)
    await stage.ask('select pg_reload_conf()')
  }
  await configure("alter system set synchronous_standby_names = 'nobody'")
  // The setting is in force when a commit of our own waits.
  const canary = await stage.connect()
  const sings = canary.query('insert into canary default values')
  const inForce = "select from pg_stat_activity where application_name = 'stage' and wait_event = 'SyncRep'"
  await until('the setting is in force', async () => (await stage.ask(inForce)).length === 1)
  return {
    between: passes,
    reached: (count) =>
      until(
        'all wait for the standby',
        async () => (await stage.backends(modes, "wait_event = 'SyncRep'")).length === count,
      ),
    release: async () => {
      await configure('alter system reset synchronous_standby_names')
      await sings
      await canary.end()
    },
  }
}

/** @param onServer whether the answer is held on the server, so that a kill finds the backend before it */
export async function holdAt(
  moment: Moment,
  stage: Stage,
  modes: readonly Mode[],
  count: number,
  onServer: boolean,
): Promise<Hold> {
  const { proxy } = stage
  const stalled = { when: 'before', action: 'stall', count } as const
  switch (moment) {
    case 'before BEGIN':
      return atMessage(stage, await proxy.rule({ statement: 'begin', ...stalled }))
    case 'mid-transaction':
      return atGate()
    case 'before COMMIT':
      return atMessage(stage, await proxy.rule({ statement: 'commit', ...stalled }))
    case 'during COMMIT':
      return await atLock(stage, modes)
    case 'before the answer to COMMIT': {
      if (onServer) return await atReplication(stage, modes)
      const answer = { direction: 'to-client', message: 'CommandComplete', text: 'COMMIT' } as const
      return atMessage(stage, await proxy.rule({ ...answer, ...stalled }))
    }
  }
}
