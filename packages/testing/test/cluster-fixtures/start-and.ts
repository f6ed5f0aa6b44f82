/** Starts a cluster, reports it in one line, and then does what its argument says: a program that uses the package. */
import { statSync } from 'node:fs'
import { startCluster } from '@pg-lifeguard/testing'

const [then = 'stop', ...flags] = process.argv.slice(2)
const cluster = await startCluster({
  replicas: flags.includes('replica') ? 1 : 0,
  handleSignals: flags.includes('signals'),
})
const servers = [cluster.primary, ...cluster.replicas].map(({ url, port, pid }) => ({ url, port, pid }))
// Whose servers they are: the folder may be gone by the time at which the report is read.
const serverUid = statSync(cluster.folder).uid
process.stdout.write(`${JSON.stringify({ folder: cluster.folder, uid: process.getuid?.(), serverUid, servers })}\n`)

if (then === 'stop') await cluster.stop()
// 'leave' ends here: nothing but the cluster is open, and that must not keep the program running.
if (then === 'wait') setInterval(() => undefined, 60_000)
