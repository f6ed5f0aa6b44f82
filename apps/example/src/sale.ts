import type { Sell, Way } from './all-ways.js'
import type { Office } from './office.js'
import { connections } from './office.js'

/** How many want how many. */
export interface Crowd {
  readonly buyers: number
  readonly tickets: number
}

/** What came of one sale: figures from the database, and what is wrong with them. */
export interface SaleResult {
  /** Tickets in the database. */
  readonly sold: number
  /** Of them, more than there were. */
  readonly oversold: number
  /** Buyers who got the answer 'sold out'. */
  readonly turnedAway: number
  /** Buyers who got an error in place of an answer. */
  readonly failed: number
  /** How often the work was done again for a buyer. */
  readonly retries: number
  /** From the first question to the last answer. */
  readonly timeMs: number
  /** The most connections that were in use at the same time. */
  readonly connections: number
  /** Buyers who got the answer 'sold' and have no ticket. */
  readonly soldWithoutTicket: number
  /** Tickets whose buyer did not get the answer 'sold', or has another one. */
  readonly ticketWithoutSold: number
  /** Each in one sentence; empty when everything is as it must be. */
  readonly problems: readonly string[]
}

/**
 * Everybody wants a ticket at the same moment. `onAnswer` gets how many have an answer so far.
 */
export async function runSale(
  office: Office,
  way: Pick<Way, 'oversells'>,
  sell: Sell,
  { buyers, tickets }: Crowd,
  signal: AbortSignal,
  onAnswer: (answered: number) => void,
): Promise<SaleResult> {
  const eventId = await office.announce(tickets)
  const reportedSold = new Set<number>()
  let turnedAway = 0
  let retries = 0
  let answered = 0
  let inUse = 0
  const errors: unknown[] = []

  const visit = async (buyer: number): Promise<void> => {
    try {
      const { sold, attempts } = await sell(office.clients, eventId, buyer)
      if (sold) reportedSold.add(buyer)
      else turnedAway += 1
      retries += attempts - 1
    } catch (error) {
      errors.push(error)
    }
    inUse = Math.max(inUse, office.pool.stats().pool.active)
    onAnswer(++answered)
  }
  const since = performance.now()
  const sampler = setInterval(() => {
    inUse = Math.max(inUse, office.pool.stats().pool.active)
  }, 1)
  await Promise.all(Array.from({ length: buyers }, (_, index) => visit(index + 1)))
  clearInterval(sampler)
  signal.throwIfAborted()
  const timeMs = performance.now() - since

  // From here on only the database is believed.
  const owners = await office.buyersOf(eventId)
  const withTicket = new Set(owners)
  const rightlyReported = [...reportedSold].filter((buyer) => withTicket.has(buyer)).length
  const figures = {
    sold: owners.length,
    oversold: Math.max(0, owners.length - tickets),
    turnedAway,
    failed: errors.length,
    retries,
    timeMs: Math.round(timeMs),
    connections: inUse,
    soldWithoutTicket: reportedSold.size - rightlyReported,
    ticketWithoutSold: owners.length - rightlyReported,
  }
  return { ...figures, problems: problemsOf(figures, way, tickets, await office.sessions(), errors[0]) }
}

function problemsOf(
  figures: Omit<SaleResult, 'problems'>,
  way: Pick<Way, 'oversells'>,
  tickets: number,
  sessions: number,
  firstError: unknown,
): string[] {
  const { sold, failed, soldWithoutTicket, ticketWithoutSold } = figures
  const problems: string[] = []
  if (failed > 0) {
    const said = firstError instanceof Error ? firstError.message : String(firstError)
    problems.push(`${failed} buyer(s) got an error: ${said}`)
  }
  if (way.oversells && sold <= tickets) {
    problems.push(`it sold ${sold} of ${tickets} tickets and was expected to oversell: try more buyers`)
  }
  if (!way.oversells && sold !== tickets) problems.push(`it sold ${sold} tickets, expected ${tickets}`)
  if (soldWithoutTicket > 0) problems.push(`${soldWithoutTicket} buyer(s) got the answer 'sold' and have no ticket`)
  if (ticketWithoutSold > 0)
    problems.push(`${ticketWithoutSold} ticket(s) belong to a buyer who did not get the answer 'sold'`)
  if (sessions > connections) {
    problems.push(`the server had ${sessions} connections, expected ${connections} at most`)
  }
  return problems
}
