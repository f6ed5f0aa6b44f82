// Prints the stack of an error that the core itself throws.
import { createPool } from '@pg-lifeguard/core'

function asksForNothing() {
  createPool({ max: 0 })
}

try {
  asksForNothing()
} catch (error) {
  console.log(error.stack)
}
