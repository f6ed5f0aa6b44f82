import type { Asking } from '../cluster/cluster-parts.js'
import type { AmbientContext } from './ambient.js'

/** What a statement may do here, and what it must see. */
export function askingOf(context: AmbientContext | undefined): Asking {
  if (context === undefined) return asksForNothing
  const { reading, causality, locks, holder } = context
  return { reading, causality, isUnderLock: locks.size > 0, holder }
}

const asksForNothing: Asking = { reading: undefined, causality: undefined, isUnderLock: false, holder: undefined }
