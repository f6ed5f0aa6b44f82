import type { Load, WorkerFigures } from './measure.js'
import { works } from './works.js'

// The process of one work, so that its memory is its own. It ends when whoever started it is gone.
const [name, loads = '[]'] = process.argv.slice(2)
const measured = works.find((one) => one.name === name)
if (measured === undefined || process.send === undefined) throw new Error('bug: a worker is started by the demo alone')
process.on('disconnect', () => process.exit(1))

let peak = 0
let kept = 0
const look = (): void => {
  peak = Math.max(peak, process.memoryUsage.rss())
}
const collect = (): void => {
  look()
  globalThis.gc?.()
  kept = Math.max(kept, process.memoryUsage().heapUsed)
}
/** Again and again, for a fifth of the time at most. */
const keepCollecting = (): void => {
  const since = performance.now()
  collect()
  collecting = setTimeout(keepCollecting, Math.max(50, 4 * (performance.now() - since)))
}
let collecting = setTimeout(keepCollecting, 50)
const looking = setInterval(look, 10)
const figures: WorkerFigures[] = []
for (const { url, count } of JSON.parse(loads) as readonly Load[]) {
  kept = 0
  collect()
  const since = performance.now()
  const result = await measured.work(url, count)
  const seconds = (performance.now() - since) / 1_000
  // While what it gave is still held.
  collect()
  const { rows, total } = result
  figures.push({ rows, total, peakMb: peak / 2 ** 20, keptMb: kept / 2 ** 20, seconds })
}
clearTimeout(collecting)
clearInterval(looking)
process.send(figures, () => process.exit(0))
