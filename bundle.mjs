// Puts the package in the current folder into one file: a program that loads it reads one file in place of hundreds.
// `tsc` has checked the source and written the declarations before. Names stay as they are, for stacks and class names.
// With --entries=index,adapter there are several ways in. What they share, classes above all, is there once: everything is
// in dist/lifeguard.js, and each entry names what it exports of it.
// With --commonjs there is a second form, dist/cjs, for a package that must use the CommonJS form of another one.
import { writeFile } from 'node:fs/promises'
import { build } from 'rolldown'

const entries = (process.argv.find((one) => one.startsWith('--entries='))?.slice('--entries='.length) ?? 'index').split(
  ',',
)

async function bundle(format, dir) {
  await build({
    input: Object.fromEntries(entries.map((name) => [name, `./src/${name}.ts`])),
    platform: 'node',
    // All that is imported by a name is a package or Node's own: a program has one of each.
    external: (specifier) => !/^(\.|\/|[a-z]:)/i.test(specifier),
    transform: { target: 'es2023' },
    onLog(_level, { message }) {
      throw new Error(message)
    },
    output: {
      dir,
      format,
      entryFileNames: '[name].js',
      chunkFileNames: '[name].js',
      ...(entries.length > 1 && { codeSplitting: { groups: [{ name: 'lifeguard', test: /./ }] } }),
      sourcemap: true,
      strict: true,
      keepNames: true,
      // The source is in the package, and the source map leads there.
      sourcemapExcludeSources: true,
      comments: { legal: true, annotation: true, jsdoc: false },
    },
  })
}

await bundle('esm', 'dist')
if (process.argv.includes('--commonjs')) {
  await bundle('cjs', 'dist/cjs')
  await writeFile('dist/cjs/package.json', '{ "type": "commonjs" }\n')
}
