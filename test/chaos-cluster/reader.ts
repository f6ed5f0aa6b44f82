import { createPool } from '@pg-lifeguard/core'
import type { Answer, Asked, ReaderSettings } from './reader-protocol.js'

// Another process: it reads, and knows nothing of what was written but the token.
const settings = JSON.parse(process.argv[2] ?? '') as ReaderSettings
const pool = createPool(settings)
let byReplicas = 0
pool.on('route', ({ role }) => {
  if (role === 'replica') byReplicas += 1
})

process.on('message', (asked: Asked | 'end') => {
  if (asked === 'end') {
    void pool.end().then(() => process.disconnect())
    return
  }
  void pool
    .withCausality(asked.token, () =>
      pool.read(() => pool.query<{ version: number }>('select version from item where id = $1', [asked.id])),
    )
    .then(
      ({ rows }): Answer => ({ n: asked.n, version: rows[0]?.version, byReplicas }),
      (error: Error): Answer => ({ n: asked.n, error: error.message, byReplicas }),
    )
    .then((answer) => process.send?.(answer))
})
process.send?.('ready')
