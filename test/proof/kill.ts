import type { Fault } from './fault.js'

/** Every backend is ended by pg_terminate_backend. */
export const kill: Fault = {
  modes: ['plain', 'proveCommit'],
  replicas: 0,
  reusable: true,
  holdsOnServer: true,
  async strike({ stage, modes, hold }) {
    const pids = await stage.backends(modes)
    await stage.ask('select pg_terminate_backend(pid) from unnest($1::int[]) pid', [pids])
    await stage.untilGone(pids)
    await hold.release()
  },
}
