import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import { ModelRegistry, PowerModel } from '../index.mjs'
import { close } from './host.mjs'

const FILE = {
  format: 'kepler-model/1',
  name: 'two-lines',
  output_type: 'AbsPower',
  energy_source: 'rapl-sysfs',
  features: [
    { name: 'bpf_cpu_time_ms', unit: 'ms/s', scale: 1, min: 0, max: 1000 },
    { name: 'cpu_cycles', unit: '1/s', scale: 1 },
  ],
  components: {
    package: {
      estimator: { kind: 'linear', intercept: 10, weights: [0.02, 0.5] },
      errors: [{ split: 'blocked-folds', rows: 100, mae: 2 }],
    },
    dram: { estimator: { kind: 'linear', intercept: -5, weights: [0.01, 0] } },
  },
}
const model = PowerModel.fromJsonSync(JSON.stringify(FILE))
const near = (actual, expected) => {
  assert.equal(actual.length, expected.length)
  for (const [i, value] of expected.entries()) assert.ok(close(actual[i], value, 1e-12), `${actual}`)
}

test('what a model is made of', () => {
  assert.equal(model.name, 'two-lines')
  assert.deepEqual(model.features, ['bpf_cpu_time_ms', 'cpu_cycles'])
  assert.deepEqual(model.components, ['package', 'dram'])
  assert.equal(model.outputType, 'AbsPower')
  assert.equal(model.energySource, 'rapl-sysfs')
  assert.match(String(model), /two-lines/)
  const { energy_source: _, ...rest } = FILE
  assert.equal(PowerModel.fromJsonSync(JSON.stringify(rest)).energySource, undefined)
})

test('a model shows its card and copies to JSON', () => {
  assert.match(
    inspect(model),
    /^PowerModel \{\n {2}name: 'two-lines',\n {2}features: \[ 'bpf_cpu_time_ms', 'cpu_cycles' \],/,
  )
  assert.deepEqual(model.toJSON(), JSON.parse(model.toJsonSync()))
  assert.equal(PowerModel.fromJsonSync(JSON.stringify(model)).toJsonSync(), model.toJsonSync())
})

for (const [form, rows] of Object.entries({
  'rows one after another': Float64Array.of(0, 0, 100, 4, 2000, 2),
  'typed arrays by name': {
    cpu_cycles: Float64Array.of(0, 4, 2),
    bpf_cpu_time_ms: Float64Array.of(0, 100, 2000),
  },
  'arrays by name': { cpu_cycles: [0, 4, 2], bpf_cpu_time_ms: [0, 100, 2000] },
})) {
  test(`${form} give the same watts`, async () => {
    for (const { watts, inRange } of [await model.predict(rows), model.predictSync(rows)]) {
      // 10 + 0.02 x + 0.5 y, and -5 + 0.01 x clamped at 0
      assert.ok(watts.package instanceof Float64Array)
      near(watts.package, [10, 14, 51])
      near(watts.dram, [0, 0, 15])
      assert.deepEqual([...inRange], [1, 1, 0])
    }
  })
}

/** What a promise gives, and how often the event loop turned meanwhile. */
async function whileTurning(call) {
  let turns = 0
  let counting
  const count = () => {
    turns++
    counting = setImmediate(count)
  }
  count()
  try {
    return [await call(), turns]
  } finally {
    clearImmediate(counting)
  }
}

test('a long text is taken by and by, and no letter of it is cut in two', async () => {
  // letters of two UTF-16 units, at even and at odd places
  for (const shift of ['', 'x']) {
    const name = shift + '😀'.repeat(100_000)
    const text = JSON.stringify({ ...FILE, name })
    const [read, turns] = await whileTurning(() => PowerModel.fromJson(text))
    assert.ok(turns >= 6, `${turns}`) // 200,000 units, 32,768 a turn
    assert.ok(read.name === name && PowerModel.fromJsonSync(text).name === name)
    assert.ok((await PowerModel.fromJson(Buffer.from(text))).name === name)
  }
})

test('the text of a model is its own, whatever letters and however many it has', async () => {
  for (const name of ['plain', 'größe', '漢', '😀'.repeat(100_000), 'x'.repeat(1_000_000), '']) {
    const made = PowerModel.fromJsonSync(JSON.stringify({ ...FILE, name }))
    const text = await made.toJson()
    assert.ok(text === made.toJsonSync() && JSON.parse(text).name === name)
    assert.equal((await PowerModel.fromJson(text)).name, name)
    assert.equal(Buffer.from(text).toString(), text)
  }
})

test('texts that nobody holds any more do not pile up', async () => {
  const made = PowerModel.fromJsonSync(JSON.stringify({ ...FILE, name: 'x'.repeat(1_000_000) }))
  const before = process.memoryUsage.rss()
  let most = before
  for (let i = 0; i < 500; i++) {
    await made.toJson()
    most = Math.max(most, process.memoryUsage.rss())
  }
  // 500 MB where the garbage collector does not know of them
  assert.ok(most - before < 250e6, `${(most - before) / 1e6} MB`)
})

test('long arrays are taken by and by, and the same as typed ones', async () => {
  const cpu = Array.from({ length: 50_001 }, (_, row) => row / 100)
  const typed = { bpf_cpu_time_ms: Float64Array.from(cpu), cpu_cycles: new Float64Array(cpu.length) }
  const rows = { bpf_cpu_time_ms: cpu, cpu_cycles: Array.from(cpu, () => 0) }
  const [{ watts }, turns] = await whileTurning(() => model.predict(rows))
  assert.ok(turns >= 6, `${turns}`) // 100,002 numbers, 16,384 a turn
  assert.deepEqual(watts, model.predictSync(typed).watts)
  cpu[40_000] = '4'
  for (const [refused, call] of [
    [assert.throws, () => model.predictSync({ ...typed, bpf_cpu_time_ms: cpu })],
    [assert.rejects, () => model.predict({ ...typed, bpf_cpu_time_ms: cpu })],
  ]) {
    const message = /^bpf_cpu_time_ms: row 40000: expected a number, found '4'/
    await refused(call, { code: 'InvalidInput', message })
  }
})

test('an interval is made of the held-out error', async () => {
  const intervals = await model.predictWithInterval(Float64Array.of(100, 4))
  // a Laplace distribution of mean 2 W holds 90 % within 2 ln 10 W
  near(intervals.package.low, [14 - 2 * Math.LN10])
  near(intervals.package.high, [14 + 2 * Math.LN10])
  assert.equal(intervals.package.level, 0.9)
  assert.equal(intervals.dram.low, undefined)
})

test('missing, unknown and unequal features are refused with their kind', async () => {
  await assert.rejects(model.predict({ bpf_cpu_time_ms: [1] }), { code: 'NotFound', message: /cpu_cycles/ })
  await assert.rejects(model.predict({ bpf_cpu_time_ms: [1], cpu_cycles: [1], other: [1] }), { code: 'NotFound' })
  await assert.rejects(model.predict({ bpf_cpu_time_ms: [1], cpu_cycles: [1, 2] }), { code: 'InvalidInput' })
  await assert.rejects(model.predict(Float64Array.of(1, 2, 3)), { code: 'InvalidInput' })
  assert.throws(() => model.predictSync(Float64Array.of(1, Number.NaN)), { code: 'InvalidInput' })
})

test('a round trip gives the same model', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'kepler-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'model.json')
  const text = await model.toJson()
  writeFileSync(path, text)
  for (const copy of [await PowerModel.load(path), PowerModel.loadSync(path), await PowerModel.fromJson(text)]) {
    assert.equal(copy.toJsonSync(), text)
  }
})

test('what is not there or no model is refused with its kind', async () => {
  await assert.rejects(PowerModel.load('/nowhere/model.json'), { code: 'NotFound' })
  await assert.rejects(ModelRegistry.open('/nowhere'), { code: 'NotFound' })
  await assert.rejects(PowerModel.fromJson('{}'), { code: 'Malformed' })
  assert.throws(() => PowerModel.fromJsonSync('{}'), { code: 'Malformed' })
})

test('the best model of a registry needs no more than what is at hand', async (t) => {
  const shared = process.env.KEPLER_SHARED ?? fileURLToPath(new URL('../../../shared', import.meta.url))
  const pipeline = join(shared, 'data/kepler-model-db/v0.7/ec2-0.7.11.zip')
  if (!existsSync(shared) && !process.env.CI) return t.skip(`no reference data in ${shared}`)
  const registry = await ModelRegistry.open(pipeline)
  assert.equal(registry.length, registry.entries.length)
  assert.equal(inspect(registry), `ModelRegistry { entries: [${registry.length} records] }`)
  const entry = registry.entries.at(-1).toJSON()
  assert.ok(entry.path.includes(entry.name) && entry.features.length > 0 && entry.maeWatts > 0, JSON.stringify(entry))
  const features = ['bpf_cpu_time_ms', 'bpf_page_cache_hit', 'cache_miss']
  const chosen = await registry.select({ source: 'rapl-sysfs', outputType: 'AbsPower', features })
  const best = await registry.model(chosen.path)
  assert.ok(best.features.every((feature) => features.includes(feature)))
  assert.equal(await registry.select({ source: 'rapl-sysfs', outputType: 'AbsPower', features: ['none'] }), undefined)
  const wanted = { source: 'rapl-sysfs', outputType: 'AbsPower', features }
  await assert.rejects(registry.select({ ...wanted, machin: {} }), {
    code: 'InvalidInput',
    message: /did you mean machine/,
  })
  await assert.rejects(registry.select({ ...wanted, nodeType: -1 }), { code: 'InvalidInput', message: /^nodeType: / })
  await assert.rejects(registry.select({ ...wanted, machine: { cores: 1.5 } }), { message: /^cores: expected a whole/ })
  await assert.rejects(registry.select({ source: 'acpi' }), {
    code: 'InvalidInput',
    message: /^outputType: it is missing/,
  })
  await assert.rejects(registry.model(5), { code: 'InvalidInput', message: /^path: / })
  await assert.rejects(registry.select({ source: 'guess', outputType: 'AbsPower', features }), { code: 'NotFound' })
})
