import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { train } from '../index.mjs'
import { close, sleep } from './host.mjs'

const cpu = Array.from({ length: 200 }, (_, i) => (i * 37) % 1000)
const cycles = Array.from({ length: 200 }, (_, i) => (i * 13) % 7)
const rows = {
  features: { bpf_cpu_time_ms: cpu, cpu_cycles: cycles },
  targets: { package: cpu.map((ms, i) => 50 + 0.02 * ms + 3 * cycles[i]) },
  times: cpu.map((_, i) => i * 3),
}

test('a plane is found, and its error is held out', async () => {
  const model = await train(rows, { trainer: 'LinearRegressionTrainer', energySource: 'rapl-sysfs', name: 'plane' })
  const { watts } = model.predictSync({ bpf_cpu_time_ms: [500], cpu_cycles: [2] })
  assert.ok(close(watts.package[0], 66, 1e-6), `${watts.package}`)
  const { errors } = JSON.parse(model.toJsonSync()).components.package
  assert.deepEqual(
    errors.map((error) => error.split),
    ['blocked-folds', 'shuffled-folds'],
  )
  assert.equal(model.name, 'plane')
})

test('a file gives the same model as its rows', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'kepler-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const lines = cpu.map((ms, i) => [rows.times[i], ms, cycles[i], rows.targets.package[i]].join(','))
  writeFileSync(
    join(folder, 'rows.csv'),
    ['timestamp,bpf_cpu_time_ms,cpu_cycles,package_power', ...lines, ''].join('\n'),
  )
  const options = { trainer: 'GradientBoostingRegressorTrainer', folds: 2, seed: 7 }
  const [ofFile, ofRows] = await Promise.all([train(join(folder, 'rows.csv'), options), train(rows, options)])
  assert.equal(ofFile.toJsonSync(), ofRows.toJsonSync())
})

test('columns of a file are learned from when they are chosen, whatever the others hold', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'kepler-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'rows.csv')
  const lines = cpu.map((ms, i) => ['sh', ms, 2 * ms + 5, rows.targets.package[i]].join(','))
  writeFileSync(file, ['comm,bpf_cpu_time_ms,watts,package_power', ...lines, ''].join('\n'))
  const options = { trainer: 'LinearRegressionTrainer', splits: [] }
  assert.deepEqual((await train(file, { ...options, features: ['watts'] })).features, ['watts'])
  await assert.rejects(train(file, { ...options, features: ['no_such'] }), { code: 'NotFound', message: /no_such/ })
})

test('rows are learned from in the order of time', async () => {
  const moved = (move) => ({
    features: { bpf_cpu_time_ms: move(cpu), cpu_cycles: move(cycles) },
    targets: { package: move(rows.targets.package) },
    times: move(rows.times),
  })
  const back = moved((column) => [...column].reverse())
  const turned = moved((column) => [...column.slice(70), ...column.slice(0, 70)])
  const options = { trainer: 'GradientBoostingRegressorTrainer', folds: 2 }
  const [one, other] = await Promise.all([train(back, options), train(turned, options)])
  assert.equal(one.toJsonSync(), other.toJsonSync())
})

test('progress rises, while the event loop goes on', async () => {
  const told = []
  let turns = 0
  const timer = setInterval(() => turns++, 1)
  await train(rows, { trainer: 'XgboostFitTrainer', folds: 3, onProgress: (...now) => told.push(now) })
  clearInterval(timer)
  const shares = told.map(([done]) => done)
  assert.ok(shares.length > 3 && turns > 3, `${shares.length} ${turns}`)
  assert.deepEqual(
    shares,
    [...shares].sort((a, b) => a - b),
  )
  assert.ok(told.every(([, stage]) => stage.includes('XgboostFitTrainer')))
})

test('a signal stops the training', async () => {
  const stop = new AbortController()
  await assert.rejects(train(rows, { onProgress: () => stop.abort(), signal: stop.signal }), { code: 'Cancelled' })
  await assert.rejects(train(rows, { signal: AbortSignal.abort() }), { code: 'Cancelled' })
})

for (const [how, onProgress] of Object.entries({
  throws: () => {
    throw new RangeError('mine')
  },
  rejects: async () => {
    throw new RangeError('mine')
  },
})) {
  test(`a report that ${how} stops the training, which rejects with that error`, async () => {
    let told = 0
    const hear = () => {
      told++
      return onProgress()
    }
    const training = train(rows, { trainer: 'XgboostFitTrainer', folds: 3, onProgress: hear })
    await assert.rejects(training, { name: 'RangeError', message: 'mine' })
    assert.equal(told, 1)
  })
}

test('the last report comes before the model', async () => {
  const told = []
  await train(rows, { trainer: 'LinearRegressionTrainer', folds: 3, onProgress: (done) => told.push(done) })
  const { length } = told
  assert.ok(length > 0)
  await sleep(20)
  assert.equal(told.length, length)
})

test('rows and words that make no sense are refused with their kind', async () => {
  await assert.rejects(train('/nowhere.csv'), { code: 'NotFound' })
  await assert.rejects(train(rows, { trainer: 'GuessTrainer' }), { code: 'NotFound' })
  await assert.rejects(train(rows, { splits: ['guess'] }), { code: 'InvalidInput' })
  await assert.rejects(train({ features: { a: [1, 2] }, targets: { package: [1] } }), { code: 'InvalidInput' })
  await assert.rejects(train({ features: { a: [1, 2], b: [1] }, targets: { package: [1, 2] } }), {
    code: 'InvalidInput',
  })
})
