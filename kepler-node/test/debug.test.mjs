import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { FakeHost } from './host.mjs'

const index = fileURLToPath(new URL('../index.js', import.meta.url))
const PROGRAM = `
const { EnergyMeter, measure, Monitor } = require(process.argv[1])
const root = process.argv[2]
;(async () => {
  const monitor = new Monitor({ root, usage: 'procfs' })
  await monitor.sample()
  await measure(() => 0, { meter: new EnergyMeter({ root }) })
  require('node:fs').writeFileSync(root + '/sys/class/powercap/intel-rapl:0/energy_uj', 'broken')
  await monitor.sample()
  monitor.sampleSync()
})()`

function run(t, env) {
  const done = spawnSync(process.execPath, ['-e', PROGRAM, index, new FakeHost(t).root], { encoding: 'utf8', env })
  assert.equal(done.status, 0, done.stderr)
  assert.equal(done.stdout, '')
  return done.stderr
}

test('NODE_DEBUG=kepler tells which sources are in use, which not, and what a sample lacks', (t) => {
  const told = run(t, { ...process.env, NODE_DEBUG: 'kepler' })
  assert.equal(told.match(/rapl-powercap: on \(package-0, dram\)/g).length, 2, told) // the monitor and the meter
  assert.match(told, /hwmon: off \(/)
  assert.match(told, /sample 1: 1 processes in/)
  assert.equal(told.match(/package-0 at .*intel-rapl:0.*: not read/g).length, 2, told)
})

test('without it nothing is said', (t) => {
  assert.equal(run(t, { ...process.env, NODE_DEBUG: 'http' }), '')
})
