import { connections } from '../office.js'
import type { Crowd } from '../sale.js'
import type { DemoDescription } from './demo.js'

/** What the ticket office says about itself. */
export function oversellDescription({ buyers, tickets }: Crowd): DemoDescription {
  return {
    name: 'oversell',
    title: `${buyers} buyers want one of ${tickets} tickets, all at once`,
    about: [
      'Count the tickets, then insert one: everybody writes that first, and it sells',
      'tickets that do not exist. Beside it four right ways to sell, one of them through',
      `every ORM; all buyers share ${connections} connections.`,
    ],
    gist: 'no ticket too many is sold',
  }
}
