/** A program that measures something; it reads the rest of the command line, and knows `--help`. */
export interface Lab {
  readonly title: string
  run(): Promise<unknown>
}

/** What `pnpm lab` can be asked for, by name. */
export const labs: Readonly<Record<string, Lab>> = {
  incidents: {
    title: 'seven incidents, as callers, events, stats() and health() show them',
    run: () => import('../incidents/main.js'),
  },
}

/** What `pnpm lab --help` shows. */
export const help = `pnpm lab NAME [options]

${Object.entries(labs)
  .map(([name, { title }]) => `  ${name.padEnd(10)} ${title}`)
  .join('\n')}

pnpm lab NAME --help lists the options of each.
`

/** The lab of this name, if there is one. */
export function labOf(name: string | undefined): Lab | undefined {
  return name !== undefined && Object.hasOwn(labs, name) ? labs[name] : undefined
}
