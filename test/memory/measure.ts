import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Account, Order } from './worker.js'

// Beside this file: as it is in a test, which Node reads without its types, or built.
const worker = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url))

/** Carries an order out in a process of its own, and returns how much memory that ever had. */
export function measure(order: Order): Promise<Account> {
  return new Promise((resolve, reject) => {
    const child = fork(worker, [JSON.stringify(order)], {
      execArgv: [],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    let account: Account | undefined
    child.on('message', (message) => {
      account = message as Account
    })
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      if (account !== undefined) resolve(account)
      else reject(new Error(`${order.what} ended with ${code ?? signal} before it was done`))
    })
  })
}
