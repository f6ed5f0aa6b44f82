import { startCluster } from './dist/index.js'
const root = process.argv[2], N = Number(process.argv[3] ?? 5)
const { createPool } = await import(root + '/packages/core/dist/index.js')
const c = await startCluster(); const db = await c.createDatabase()
const sleep = (ms) => new Promise((r) => setTimeout(r, ms))
for (let i = 0; i < N; i++) {
  const pool = createPool({ connectionString: db.url, max: 10 })
  let open = 0, calls = 0; const out = {}
  const pending = new Map()
  const call = async () => { const id = calls++; open++; pending.set(id, performance.now()); try { await pool.query('select pg_sleep(0.02)', [], { timeoutMs: 1000 }); out.ok = (out.ok ?? 0) + 1 } catch (e) { out[e.code] = (out[e.code] ?? 0) + 1 } pending.delete(id); open-- }
  await Promise.all(Array.from({ length: 10 }, call))
  const start = performance.now()
  for (;;) { const el = performance.now() - start; const due = Math.floor(Math.min(el, 1600) / 1000 * 5000); while (calls - 10 < due) void call(); if (el >= 1600) break; await sleep(1) }
  const e = performance.now(); while (open > 0 && performance.now() - e < 20000) await sleep(20)
  console.log(i, 'open', open, 'after', Math.round(performance.now() - e), JSON.stringify(out))
  if (open > 0) { console.log('LOST', [...pending.keys()].slice(0, 10), JSON.stringify(pool.stats(), (k, v) => (k === 'durationMs' || k === 'waits' && false) ? undefined : v)); console.log(pool.active()) }
  const t = performance.now(); await Promise.race([pool.end({ timeoutMs: 10000 }), sleep(20000).then(() => console.log('END HANGS'))]); console.log('end', Math.round(performance.now() - t))
}
await c.stop(); process.exit(0)
