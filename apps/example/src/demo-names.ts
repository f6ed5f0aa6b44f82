/** The demos, in the order in which they are shown: the last one kills the servers that the others have used. */
export const demoNames = [
  'oversell',
  'mixed',
  'tenants',
  'lost-lock',
  'lost-commit',
  'overload',
  'stream-and-copy',
  'read-your-writes',
  'failover',
] as const

export type DemoName = (typeof demoNames)[number]

/** Those that need a replica. */
export const demosOnReplicas: readonly DemoName[] = ['read-your-writes', 'failover']
