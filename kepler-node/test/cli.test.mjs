import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { version } from '../index.mjs'

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

test('a program that does not start is one clear line', () => {
  for (const [program, status] of [
    ['no-such-program', 127],
    ['/etc/passwd', 126],
  ]) {
    const done = run('measure', '--', program)
    assert.equal(done.status, status)
    assert.match(done.stderr, new RegExp(`^kepler: .*${program}.*\n$`))
  }
})

test('wrong usage ends with 2 and says how', () => {
  for (const words of [
    [],
    ['measure'],
    ['measure', '--'],
    ['measure', '--jason', 'true'],
    ['guess'],
    ['doctor', 'more'],
  ]) {
    const done = run(...words)
    assert.equal(done.status, 2, words.join(' '))
    assert.equal(done.stdout, '')
    assert.match(done.stderr, /^usage: kepler measure/)
  }
})

test('help and version are told', () => {
  for (const words of [['--help'], ['-h'], ['measure', '--help'], ['doctor', '--help']]) {
    assert.match(run(...words).stdout, /^usage: kepler measure/)
  }
  assert.equal(run('--version').stdout, `kepler ${version()}\n`)
})

test('options of the command are its own', () => {
  assert.equal(run('measure', 'sh', '-c', 'exit 4').status, 4)
  assert.equal(run('measure', '--', 'echo', '--', '--json', '--help').stdout, '-- --json --help\n')
})

test('an interrupt is for the command, and its figures are told', async () => {
  const words = [bin, 'measure', '--json', '--', 'sh', '-c', 'echo on; exec sleep 60']
  const measuring = spawn(process.execPath, words, { detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  measuring.stdout.once('data', () => process.kill(-measuring.pid, 'SIGINT'))
  let told = ''
  measuring.stderr.on('data', (data) => {
    told += data
  })
  const [status] = await once(measuring, 'close')
  assert.equal(status, 130)
  assert.equal(JSON.parse(told).returncode, -2)
})

for (const signal of ['SIGTERM', 'SIGHUP']) {
  test(`whoever ends it by ${signal} ends the command, and its figures are told`, async () => {
    const words = [bin, 'measure', '--json', '--', 'sh', '-c', 'echo $$; exec sleep 60']
    const measuring = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'pipe'] })
    let [pid, told] = [0, '']
    measuring.stdout.once('data', (line) => {
      pid = Number(line)
      measuring.kill(signal)
    })
    measuring.stderr.on('data', (data) => {
      told += data
    })
    const [status] = await once(measuring, 'close')
    assert.equal(status, 143)
    assert.equal(JSON.parse(told).returncode, -15)
    assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' })
  })
}

test('doctor names the sources', () => {
  assert.match(run('doctor').stdout, /procfs|ebpf/)
})
