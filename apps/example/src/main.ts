// Only what old versions of Node.js can read may stand in this file: it is here to tell them so.
const version = process.versions.node
if (Number(version.split('.')[0]) < 22) {
  console.error(`lifeguard demo: this is Node.js ${version}, and 22 or newer is needed ('pnpm demo' brings its own)`)
  process.exitCode = 1
} else {
  const { program } = await import('./program.js')
  process.exitCode = await program(process.argv.slice(2), process.env)
}
