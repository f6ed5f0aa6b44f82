import { allWays, type Way } from './all-ways.js'
import type { DatabaseServer } from './database-server.js'
import type { OversellOptions } from './demo-options.js'
import { errorLine } from './error-lines.js'
import { connections, Office } from './office.js'
import { type Orm, orms } from './orm.js'
import type { Progress } from './progress.js'
import type { Report } from './report.js'
import { runSale, type SaleResult } from './sale.js'

/** What all ways are shown through when nothing is asked for. */
const mainOrm: Orm = 'kysely'
/** The way that is then shown through the others, too. */
const sharedWay = 'lock'

/** Opens the office, sells everything in every way, and closes it; nothing is left behind, however it ends. */
export async function oversell(
  options: OversellOptions,
  server: DatabaseServer,
  progress: Progress,
  signal: AbortSignal,
): Promise<Report> {
  const { buyers, tickets, runs } = options
  const main = options.orm ?? mainOrm
  signal.throwIfAborted()
  progress.show('opening the ticket office')
  await using office = await open(server)
  const close = (): void => void office.closeAtOnce()
  signal.addEventListener('abort', close, { once: true })
  signal.throwIfAborted()

  const plan = planOf(options)
  // A warm-up, so that the first way does not pay for what the others find ready.
  for (const { way, orm } of plan) {
    await runSale(office, way, way.buy[orm], { buyers: 20, tickets: 5 }, signal, () => undefined)
  }

  const reports = plan.map(({ way, orm }) => ({ way, orm, sales: [] as SaleResult[] }))
  for (let run = 1; run <= runs; run++) {
    const suffix = runs === 1 ? '' : `   run ${run} of ${runs}`
    for (const { way, orm, sales } of reports) {
      const title = orm === main ? way.name : orm
      const result = await runSale(office, way, way.buy[orm], options, signal, (answered) =>
        progress.bar(title, answered, buyers, suffix),
      )
      sales.push(result)
    }
  }
  signal.removeEventListener('abort', close)

  const all = reports.map(({ way: { name, oversells }, orm, sales }) => {
    return { name, orm, oversells, ok: sales.every(({ problems }) => problems.length === 0), sales }
  })
  return {
    formatVersion: 1,
    ok: all.every(({ ok }) => ok),
    orm: main,
    buyers,
    tickets,
    runs,
    poolSize: connections,
    server: { kind: server.kind, version: server.version },
    ways: all.filter(({ orm }) => orm === main),
    others: all.filter(({ orm }) => orm !== main),
  }
}

/** What the ticket office is shown in. */
export function ormsOfOversell(options: OversellOptions): readonly Orm[] {
  const used = new Set(planOf(options).map(({ orm }) => orm))
  return orms.filter((orm) => used.has(orm))
}

/** Every way through the one that was asked for; without a wish through Kysely, and one right way through the others. */
function planOf({ ways: names, orm: wanted }: OversellOptions): { readonly way: Way; readonly orm: Orm }[] {
  const main = wanted ?? mainOrm
  const ways = allWays.filter(({ name }) => names.includes(name))
  const asked = ways.map((way) => ({ way, orm: main }))
  const shared = ways.find(({ name }) => name === sharedWay)
  if (wanted !== undefined || shared === undefined || ways.length !== allWays.length) return asked
  return [...asked, ...orms.filter((orm) => orm !== main).map((orm) => ({ way: shared, orm }))]
}

async function open(server: DatabaseServer): Promise<Office> {
  try {
    return await Office.open(server)
  } catch (cause) {
    if (server.kind === 'embedded') throw cause
    throw new Error(`DATABASE_URL cannot be used: ${errorLine(cause)}`, { cause })
  }
}
