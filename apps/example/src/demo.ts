import { type DatabaseServer, databaseServer } from './database-server.js'
import type { DemoOptions } from './demo-options.js'
import { errorLine } from './error-lines.js'
import { connections, Office } from './office.js'
import type { Progress } from './progress.js'
import type { Report } from './report.js'
import { runSale, type SaleResult } from './sale.js'

/** Opens the office, sells everything in every way, and closes it; nothing is left behind, however it ends. */
export async function demo(
  options: DemoOptions,
  databaseUrl: string | undefined,
  progress: Progress,
  signal: AbortSignal,
): Promise<Report> {
  const { buyers, tickets, runs, ways } = options
  progress.show('starting PostgreSQL')
  await using server = await databaseServer(databaseUrl, options.port)
  signal.throwIfAborted()
  progress.show('opening the ticket office')
  await using office = await open(server)
  const close = (): void => void office.closeAtOnce()
  signal.addEventListener('abort', close, { once: true })
  signal.throwIfAborted()

  // A rehearsal, so that the first way does not pay for what the others find warm.
  for (const way of ways) await runSale(office, way, { buyers: 50, tickets: 10 }, signal, () => undefined)

  const sales = new Map<string, SaleResult[]>(ways.map(({ name }) => [name, []]))
  for (let run = 1; run <= runs; run++) {
    const suffix = runs === 1 ? '' : `   run ${run} of ${runs}`
    for (const way of ways) {
      const result = await runSale(office, way, options, signal, (answered) =>
        progress.bar(way.name, answered, buyers, suffix),
      )
      sales.get(way.name)?.push(result)
    }
  }
  signal.removeEventListener('abort', close)

  const reports = ways.map(({ name, oversells }) => {
    const results = sales.get(name) ?? []
    return { name, oversells, ok: results.every(({ problems }) => problems.length === 0), sales: results }
  })
  return {
    formatVersion: 1,
    ok: reports.every(({ ok }) => ok),
    buyers,
    tickets,
    runs,
    poolSize: connections,
    server: { kind: server.kind, version: office.serverVersion },
    ways: reports,
  }
}

async function open(server: DatabaseServer): Promise<Office> {
  try {
    return await Office.open(server)
  } catch (cause) {
    if (server.kind === 'embedded') throw cause
    throw new Error(`DATABASE_URL cannot be used: ${errorLine(cause)}`, { cause })
  }
}
