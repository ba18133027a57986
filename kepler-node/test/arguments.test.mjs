import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import {
  doctor,
  doctorSync,
  EnergyMeter,
  ModelRegistry,
  Monitor,
  measure,
  measureCommand,
  measureSync,
  PowerModel,
  train,
} from '../index.mjs'

const FILE = {
  format: 'kepler-model/1',
  name: 'line',
  output_type: 'AbsPower',
  features: [{ name: 'a', unit: '1/s', scale: 1 }],
  components: { package: { estimator: { kind: 'linear', intercept: 10, weights: [2] } } },
}
const model = PowerModel.fromJsonSync(JSON.stringify(FILE))
const rows = { features: { a: [0, 1, 2, 3, 4, 5] }, targets: { package: [0, 1, 2, 3, 4, 5] } }
const refused = (message) => ({ code: 'InvalidInput', message })

for (const pid of [2 ** 32 + 1, 1.7, -1, 0, Number.NaN, '1', 1n, true]) {
  test(`a pid of ${typeof pid} ${pid} is refused`, async () => {
    const message = /^pid: expected a whole number from 1 to 4294967295, found /
    assert.throws(() => measureSync(() => 0, { pid }), refused(message))
    assert.throws(() => new EnergyMeter({ fake: true }).begin({ pid }), refused(message))
    await assert.rejects(
      measure(() => 0, { pid }),
      refused(message),
    )
  })
}

test('whole numbers are refused where they would wrap or lose their fraction', async () => {
  for (const wrong of [-1, 0.5, 2 ** 32, Number.POSITIVE_INFINITY]) {
    assert.throws(() => new Monitor({ endedLimit: wrong }), refused(/^endedLimit: expected a whole number from 0 /))
    await assert.rejects(train(rows, { seed: wrong }), refused(/^seed: expected a whole number from 0 to 4294967295/))
    await assert.rejects(train(rows, { folds: wrong }), refused(/^folds: /))
    await assert.rejects(train({ ...rows, machines: [0, 1, wrong, 1, 1, 1] }), refused(/^machines: row 2: /))
  }
  assert.equal(new Monitor({ fake: true, endedLimit: 2 ** 32 - 1 }) instanceof Monitor, true)
})

test('what is no number is no figure: its column and row are told', async () => {
  for (const wrong of [null, undefined, '', '3', true, 1n, {}, [1]]) {
    assert.throws(() => model.predictSync({ a: [1, wrong] }), refused(/^a: row 1: expected a number, found /))
    await assert.rejects(model.predict({ a: [wrong] }), refused(/^a: row 0: /))
    await assert.rejects(model.predictWithInterval({ a: [wrong] }), refused(/^a: row 0: /))
    await assert.rejects(train({ ...rows, targets: { package: [0, 1, 2, 3, 4, wrong] } }), refused(/^package: row 5: /))
  }
  // biome-ignore lint/suspicious/noSparseArray: a hole is what is tried
  assert.throws(() => model.predictSync({ a: [1, , 2] }), refused(/^a: row 1: expected a number, found undefined/))
})

test('rows come as arrays of numbers and as typed arrays, and what else is given is told what is taken', async () => {
  // 10 + 2 a
  for (const given of [[1, 2.5], Float64Array.of(1, 2.5), Float32Array.of(1, 2.5)]) {
    assert.deepEqual([...model.predictSync({ a: given }).watts.package], [12, 15])
  }
  assert.deepEqual([...model.predictSync({ a: Int8Array.of(1, 2) }).watts.package], [12, 14])
  assert.deepEqual([...(await model.predict(Float32Array.of(1, 2.5))).watts.package], [12, 15])
  for (const wrong of [undefined, null, 3, 'a', [[1], [2]], [1, 2], new Map([['a', [1]]]), BigInt64Array.of(1n)]) {
    assert.throws(
      () => model.predictSync(wrong),
      refused(/^rows: expected an object of one array of numbers a feature, or /),
    )
    await assert.rejects(model.predict(wrong), refused(/^rows: /))
  }
  for (const wrong of [3, 'a', { 0: 1 }, new DataView(new ArrayBuffer(8)), BigUint64Array.of(1n)]) {
    assert.throws(() => model.predictSync({ a: wrong }), refused(/^a: expected an array of numbers, or a typed array /))
  }
})

const misspelt = {
  'Monitor usagee': [() => new Monitor({ usagee: 'procfs' }), /^usagee: no such option; did you mean usage\?$/],
  'Monitor ended_limit': [() => new Monitor({ ended_limit: 1 }), /did you mean endedLimit\?$/],
  'EnergyMeter fakes': [() => new EnergyMeter({ fakes: true }), /did you mean fake\?$/],
  'EnergyMeter usage': [() => new EnergyMeter({ usage: 'ebpf' }), /there are root, proc, sys, fake, rapl, hwmon$/],
  'measureSync scop': [() => measureSync(() => 0, { scop: 'thread' }), /^scop: .* did you mean scope\?$/],
  'begin Scope': [() => new EnergyMeter({ fake: true }).begin({ Scope: 'thread' }), /did you mean scope\?$/],
  'doctorSync toot': [() => doctorSync({ toot: '/' }), /did you mean root\?$/],
  'stream interval': [() => new Monitor({ fake: true }).stream({ interval: 5 }), /did you mean intervalMs\?$/],
}
for (const [name, [call, message]] of Object.entries(misspelt)) {
  test(`an option that is none is refused with the nearest that is one: ${name}`, () => {
    assert.throws(call, refused(message))
  })
}

test('what returns a promise rejects, for whatever is wrong with its arguments', async () => {
  await assert.rejects(doctor({ toot: '/' }), refused(/did you mean root/))
  await assert.rejects(
    measure(() => 0, { scop: 'thread' }),
    refused(/did you mean scope/),
  )
  await assert.rejects(measure(3), refused(/^block: expected a function, found 3/))
  await assert.rejects(
    measure(() => 0, { meter: {} }),
    refused(/^meter: expected an instance of EnergyMeter/),
  )
  await assert.rejects(measureCommand(['true'], { metre: 1 }), refused(/did you mean meter/))
  await assert.rejects(measureCommand('true'), refused(/^command: expected an array, found 'true'/))
  await assert.rejects(measureCommand(['sleep', 1]), refused(/^command\[1\]: expected a string, found 1/))
  await assert.rejects(new EnergyMeter({ fake: true }).measureCommand(), refused(/^command: /))
  await assert.rejects(train(3), refused(/^data: expected the path of a CSV file, or an object/))
  await assert.rejects(train({ features: rows.features }), refused(/^targets: it is missing/))
  await assert.rejects(train(rows, { trainers: 'x' }), refused(/did you mean trainer/))
  await assert.rejects(train(rows, { splits: 'shuffled-part' }), refused(/^splits: expected an array/))
  await assert.rejects(train(rows, { onProgress: 1 }), refused(/^onProgress: expected a function/))
  await assert.rejects(train(rows, { signal: 1 }), refused(/^signal: expected an AbortSignal/))
  await assert.rejects(
    new Monitor({ fake: true }).namePods([1]),
    refused(/^podList: expected a string, or a Uint8Array/),
  )
  for (const wrong of [undefined, null, 5, {}]) {
    await assert.rejects(PowerModel.load(wrong), refused(/^path: expected a string, found /))
    await assert.rejects(
      PowerModel.fromJson(wrong),
      refused(/^text: expected a string, or a Uint8Array of UTF-8, found /),
    )
    await assert.rejects(ModelRegistry.open(wrong), refused(/^path: /))
  }
})

test('arguments of a wrong type are refused with the kind', () => {
  assert.throws(() => new Monitor(3), refused(/^options: expected an object of options, found 3/))
  assert.throws(() => new Monitor({ usage: 3 }), refused(/^usage: expected a string, found 3/))
  assert.throws(() => new Monitor({ counters: 'x' }), refused(/^counters: expected an array/))
  assert.throws(() => new Monitor({ counters: [1] }), refused(/^counters\[0\]: expected a string/))
  assert.throws(() => new Monitor({ fake: 1 }), refused(/^fake: expected true or false, found 1/))
  assert.throws(() => new Monitor({ retention: '1' }), refused(/^retention: expected a number, found '1'/))
  for (const retention of [Number.NaN, -1, Number.POSITIVE_INFINITY]) {
    assert.throws(() => new Monitor({ retention }), refused(/^retention: /))
  }
  assert.throws(() => PowerModel.loadSync(1), refused(/^path: /))
  assert.throws(() => PowerModel.fromJsonSync({}), refused(/^text: /))
  assert.throws(() => ModelRegistry.openSync(), refused(/^path: /))
  assert.throws(() => new EnergyMeter({ fake: true }).measureCommandSync([1]), refused(/^command\[0\]: /))
  assert.throws(() => new Monitor({ fake: true }).namePodsSync(), refused(/^podList: /))
})

test('options that are null or undefined are not given', () => {
  for (const none of [null, undefined]) {
    assert.ok(measureSync(() => 0, none).seconds >= 0)
    assert.ok(measureSync(() => 0, { pid: none, scope: none }).seconds >= 0)
    assert.equal(new Monitor({ fake: true, usage: none }).openSync().sources.energy.length, 1)
  }
})

for (const intervalMs of [Number.NaN, -5, 0, 0.5, 'x', Number.POSITIVE_INFINITY, 1e12, 2 ** 31]) {
  test(`a stream each ${intervalMs} ms is refused`, () => {
    const monitor = new Monitor({ fake: true, usage: 'procfs' })
    assert.throws(
      () => monitor.stream({ intervalMs }),
      refused(/^intervalMs: expected a number from 1 to 2147483647, found /),
    )
  })
}

test('the options that are taken are those that are declared', () => {
  const declared = readFileSync(new URL('../index.d.ts', import.meta.url), 'utf8')
  const fields = (name) => {
    const [, body] = new RegExp(`interface ${name}(?: extends \\w+)? \\{\\n(.*?)\\n\\}`, 's').exec(declared)
    return [...body.matchAll(/^ {2}(\w+)\??:/gm)].map(([, field]) => field)
  }
  const { kinds } = createRequire(import.meta.url)('../arguments.js')
  for (const [name, taken] of Object.entries(kinds)) {
    assert.deepEqual(Object.keys(taken).sort(), fields(name).sort(), name)
  }
})
