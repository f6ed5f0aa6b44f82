/** The demos, in the order in which `all` shows them. */
export const demoNames = [
  'oversell',
  'mixed',
  'read-your-writes',
  'failover',
  'overload',
  'lost-lock',
  'lost-commit',
  'stream-and-copy',
  'tenants',
] as const

export type DemoName = (typeof demoNames)[number]
