import type { WorkerFigures } from './measure.js'
import { works } from './works.js'

// The process of one work, so that its memory is its own. It ends when whoever started it is gone.
const [name, url = '', count] = process.argv.slice(2)
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
collect()
const timers = [setInterval(look, 10), setInterval(collect, 200)]
const since = performance.now()
const { rows, total } = await measured.work(url, Number(count))
const seconds = (performance.now() - since) / 1_000
look()
for (const timer of timers) clearInterval(timer)
const figures: WorkerFigures = { rows, total, peakMb: peak / 2 ** 20, keptMb: kept / 2 ** 20, seconds }
process.send(figures, () => process.exit(0))
