import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

test('the tarball installs and works in a clean folder, with the network off and no compiler', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'kepler-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const cwd = fileURLToPath(new URL('..', import.meta.url))
  const run = (command, options) => execFileSync(command[0], command.slice(1), { encoding: 'utf8', ...options })
  const packed = run(['npm', 'pack', '--silent', '--ignore-scripts', '--pack-destination', folder], { cwd }).trim()
  writeFileSync(join(folder, 'package.json'), '{}')
  const licence = run(['tar', '-xzOf', packed, 'package/LICENSE'], { cwd: folder })
  assert.equal(licence, readFileSync(new URL('../../LICENSE', import.meta.url), 'utf8'))
  const unshare = ['unshare', '--net', '--map-root-user']
  const offline = spawnSync(unshare[0], [...unshare.slice(1), 'true']).status === 0 ? unshare : []
  run([...offline, 'npm', 'install', '--silent', '--offline', '--no-audit', `./${packed}`], { cwd: folder })
  const esm = `import { measure } from 'kepler'
    const m = await measure(() => { for (let i = 0; i < 1e6; i++); })
    console.log(m.seconds > 0)`
  assert.equal(run([...offline, process.execPath, '--input-type=module', '-e', esm], { cwd: folder }), 'true\n')
  assert.match(run([...offline, 'npx', '--offline', 'kepler', 'doctor'], { cwd: folder }), /procfs|ebpf|iter/)
})
