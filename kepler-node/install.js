// Runs at `npm install`. A published package holds the built binary; a checkout is built with cargo.

const { existsSync, copyFileSync } = require('node:fs')
const { execFileSync } = require('node:child_process')
const { join } = require('node:path')

const binary = join(__dirname, 'kepler.node')
if (!existsSync(binary)) {
  const manifest = join(__dirname, 'Cargo.toml')
  const cargo = (args, options) => execFileSync('cargo', [...args, '--manifest-path', manifest], options)
  cargo(['build', '--release', '--locked'], { stdio: 'inherit' })
  const { target_directory: target } = JSON.parse(
    cargo(['metadata', '--format-version=1', '--no-deps'], { encoding: 'utf8', maxBuffer: 1 << 26 }),
  )
  copyFileSync(join(target, 'release', 'libkepler_node.so'), binary)
}
