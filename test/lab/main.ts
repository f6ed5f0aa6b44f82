import { help, labOf } from './labs.js'

// `pnpm lab -- incidents` hands the dashes on; what is left after the name is for the program of that name.
if (process.argv[2] === '--') process.argv.splice(2, 1)
const [name] = process.argv.splice(2, 1)
const lab = labOf(name)
if (lab !== undefined) await lab.run()
else if (name === '--help') process.stdout.write(help)
else {
  process.stderr.write(`${name ?? 'no name'}: no such lab; --help lists them\n`)
  process.exitCode = 2
}
