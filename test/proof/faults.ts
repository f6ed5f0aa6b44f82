import { cut } from './cut.js'
import type { Fault } from './fault.js'
import { kill } from './kill.js'
import { promote } from './promote.js'
import { restart } from './restart.js'
import { stall } from './stall.js'

export const faultNames = ['kill', 'cut', 'stall', 'restart', 'promote'] as const
export type FaultName = (typeof faultNames)[number]

export const faults: Readonly<Record<FaultName, Fault>> = { kill, cut, stall, restart, promote }
