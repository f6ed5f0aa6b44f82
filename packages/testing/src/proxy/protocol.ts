import type { ConnectionFilter } from './connection-filter.js'
import type { Shape } from './delay-line.js'
import type { FaultProxyErrorCode } from './fault-proxy-error.js'
import type { Direction } from './messages.js'
import type { FaultRule } from './rule.js'
import type { FaultProxyConnection, FaultProxyStats } from './stats.js'

/** Where the real server listens. */
export interface TargetAddress {
  readonly host: string
  readonly port: number
}

/** Which bytes a stall or a resume is about. */
export interface StallScope {
  readonly direction: 'both' | Direction
  readonly connections: ConnectionFilter
}

/** What the parent can ask of the proxy's process: the input and the answer of each command. */
export interface Commands {
  start: { input: { target: TargetAddress; shape: Shape; seed: number; port: number }; output: number }
  set: { input: Partial<Shape>; output: undefined }
  cut: { input: { how: 'rst' | 'fin'; connections: ConnectionFilter }; output: number }
  stall: { input: StallScope; output: undefined }
  resume: { input: StallScope; output: undefined }
  refuse: { input: undefined; output: undefined }
  accept: { input: undefined; output: undefined }
  addRule: { input: { ruleId: number; rule: FaultRule }; output: undefined }
  removeRule: { input: { ruleId: number }; output: undefined }
  countRule: { input: { ruleId: number }; output: number }
  stats: { input: undefined; output: FaultProxyStats }
  connections: { input: undefined; output: readonly FaultProxyConnection[] }
}

/** From the parent: one command. */
export interface CommandMessage<K extends keyof Commands> {
  readonly callId: number
  readonly command: K
  readonly input: Commands[K]['input']
}

/** From the parent: any command. */
export type AnyCommandMessage = { [K in keyof Commands]: CommandMessage<K> }[keyof Commands]

/** That a rule fired. */
export interface RuleFired {
  /** The connection it fired on. */
  readonly connectionId: number
  /** When, in milliseconds since the epoch, with a fraction. */
  readonly at: number
}

/** From the proxy's process. */
export type ProxyMessage =
  | { readonly kind: 'done'; readonly callId: number; readonly output: unknown }
  | { readonly kind: 'failed'; readonly callId: number; readonly code: FaultProxyErrorCode; readonly message: string }
  | { readonly kind: 'fired'; readonly ruleId: number; readonly firing: RuleFired }
  | { readonly kind: 'blind'; readonly ruleId: number; readonly connectionId: number }
