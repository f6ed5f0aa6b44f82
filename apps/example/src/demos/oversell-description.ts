import { connections } from '../office.js'
import type { Crowd } from '../sale.js'
import type { DemoDescription } from './demo.js'

/** What the ticket office says about itself. */
export function oversellDescription({ buyers, tickets }: Crowd): DemoDescription {
  return {
    name: 'oversell',
    title: `${buyers} buyers want one of ${tickets} tickets, all at once`,
    about: [
      'Count the tickets, then insert one: that is the obvious code, and it sells tickets',
      'that do not exist. The demo compares it with four correct ways, one of them through',
      `every ORM. All buyers share ${connections} connections.`,
    ],
    gist: 'no more tickets than exist',
  }
}
