import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const bin = fileURLToPath(new URL('../bin/kepler.js', import.meta.url))
const run = (...args) => spawnSync(process.execPath, [bin, ...args], { encoding: 'utf8' })

test('measure runs the command and tells its figures', () => {
  const done = run('measure', '--json', '--', process.execPath, '-e', 'console.log("hello")')
  assert.equal(done.status, 0)
  assert.equal(done.stdout, 'hello\n')
  assert.ok(JSON.parse(done.stderr).cpuSeconds > 0)
})

test('measure ends as the command ended', () => {
  assert.equal(run('measure', '--', 'sh', '-c', 'exit 3').status, 3)
  assert.equal(run('measure', '--', 'sh', '-c', 'kill -9 $$').status, 137)
})

test('a missing program is one clear line, a missing verb the usage', () => {
  const missing = run('measure', '--', 'no-such-program')
  assert.equal(missing.status, 1)
  assert.match(missing.stderr, /^kepler: .*no-such-program.*\n$/)
  assert.equal(run().status, 2)
})

test('doctor names the sources', () => {
  assert.match(run('doctor').stdout, /procfs|ebpf/)
})
