// jest's own settings for ES modules: docs/jest.md. jest reads this file itself, so it is not TypeScript.
const { createRequire } = require('node:module')
const vm = require('node:vm')

/** Whether jest loads ES modules with `require` by itself. */
function loadsModules() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  return typeof vm.SourceTextModule === 'function' && (major > 24 || (major === 24 && minor >= 9))
}

/** What makes CommonJS of the program's modules and of these packages. */
function transformed() {
  const resolve = createRequire(`${process.cwd()}/package.json`).resolve
  let preset
  try {
    preset = resolve('@babel/preset-env')
  } catch (cause) {
    throw new Error(
      'jest loads ES modules on Node 24.9 and newer, with NODE_OPTIONS=--experimental-vm-modules. ' +
        'Without that it needs a transform: npm install --save-dev @babel/preset-env@7',
      { cause },
    )
  }
  return {
    transform: { '\\.[cm]?[jt]sx?$': ['babel-jest', { presets: [[preset, { targets: { node: 'current' } }]] }] },
    transformIgnorePatterns: ['/node_modules/(?!(\\.pnpm/)?(@pg-lifeguard[/+]|kysely[/@]))'],
  }
}

module.exports = loadsModules() ? {} : transformed()
