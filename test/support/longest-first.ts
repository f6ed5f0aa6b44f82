import { relative } from 'node:path'
import { BaseSequencer, type TestSpecification } from 'vitest/node'
import { longest } from './projects.js'
import { root } from './workspace.js'

/** Within each project, what takes longest begins first, on a machine too that has never run it. */
export class LongestFirst extends BaseSequencer {
  override async sort(specifications: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(specifications)
    const projects = [...new Set(sorted.map(({ project }) => project))]
    return projects.flatMap((project) => {
      const own = sorted.filter((one) => one.project === project)
      return own.toSorted((a, b) => rank(a) - rank(b))
    })
  }
}

function rank({ moduleId }: TestSpecification): number {
  const place = longest.indexOf(relative(root, moduleId).replaceAll('\\', '/'))
  return place === -1 ? longest.length : place
}
