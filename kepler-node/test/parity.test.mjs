import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import * as esm from '../index.mjs'

const require = createRequire(import.meta.url)
const kepler = require('../index.js')
const api = require('../../kepler-core/tests/api.json')
const camel = (name) => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase())
const sorted = (names) => [...names].sort()
const names = Object.keys(kepler).filter((name) => !name.startsWith('_'))

test('functions are those of the shared list', () => {
  const functions = names.filter((name) => /^[a-z]/.test(name))
  assert.deepEqual(sorted(functions), sorted([...api.functions.map(camel), ...api.node.functions]))
})

test('classes are those of the shared list', () => {
  const classes = names.filter((name) => /^[A-Z]/.test(name))
  const listed = Object.keys(api.types).filter((name) => !api.node.records.includes(name))
  assert.deepEqual(sorted(classes), sorted(listed))
})

for (const [name, own] of Object.entries(api.node.types)) {
  test(`members of ${name} are those of the shared list`, () => {
    const members = new Set()
    for (let type = kepler[name]; type?.prototype; type = Object.getPrototypeOf(type)) {
      for (const key of Object.getOwnPropertyNames(type)) members.add(key)
      for (const key of Object.getOwnPropertyNames(type.prototype)) members.add(key)
    }
    for (const key of ['constructor', 'length', 'name', 'prototype', 'arguments', 'caller']) members.delete(key)
    const listed = [...api.types[name].map(camel), ...own].filter((key) => !['length', 'name'].includes(key))
    const found = [...members].filter((key) => !key.startsWith('_'))
    assert.deepEqual(sorted(found), sorted(listed))
  })
}

test('records have no field that is not on the shared list', () => {
  const record = { Diagnosis: kepler.doctorSync(), Sources: new kepler.Monitor({ fake: true }).openSync().sources }
  record.Measurement = new kepler.EnergyMeter({ fake: true }).openSync().begin().end()
  record.MachineSpec = record.Diagnosis.machine
  record.Provenance = record.Measurement.provenance
  for (const [name, value] of Object.entries(record)) {
    const extra = Object.keys(value).filter((key) => !api.types[name].map(camel).includes(key))
    assert.deepEqual(extra, [], name)
  }
})

test('records are declared with the fields of the shared list, no fewer and no more', () => {
  const declared = readFileSync(new URL('../index.d.ts', import.meta.url), 'utf8')
  const fields = (name) => {
    const [, base, body] = new RegExp(`interface ${name}(?: extends (.+?))? \\{\\n(.*?)\\n\\}`, 's').exec(declared)
    const own = [...body.matchAll(/^ {2}(?:readonly )?(\w+)\??:/gm)].map(([, field]) => field)
    if (base === undefined) return own
    const left = [...base.matchAll(/'(\w+)'/g)].map(([, field]) => field)
    return [...own, ...fields('Workload').filter((field) => !left.includes(field))]
  }
  for (const [name, listed] of Object.entries(api.records)) {
    assert.deepEqual(sorted(fields(name)), sorted(listed.map(camel)), name)
  }
})

test('records have the fields that are declared, but for those that are absent', () => {
  const monitor = new kepler.Monitor({ fake: true, usage: 'procfs' })
  monitor.sampleSync()
  const snapshot = monitor.sampleSync()
  const [zone] = snapshot.node.zones
  const record = {
    Zone: zone,
    Node: snapshot.node,
    DomainEnergy: snapshot.node.domains.package,
    Note: snapshot.sources.notes[0],
    Process: snapshot.processes[0].toJSON(),
    MeasuredZone: new kepler.EnergyMeter({ fake: true }).openSync().begin().end().zones.package,
  }
  for (const [name, value] of Object.entries(record)) {
    const [own, listed] = [Object.keys(value), api.records[name].map(camel)]
    assert.ok(own.length > 1, name)
    assert.deepEqual(
      own.filter((key) => !listed.includes(key)),
      [],
      name,
    )
  }
})

test('ESM and CommonJS export the same', () => {
  assert.deepEqual(sorted(Object.keys(esm)), sorted(names))
})

test('one version everywhere', () => {
  const cargo = readFileSync(new URL('../../Cargo.toml', import.meta.url), 'utf8')
  const version = /\[workspace\.package\]\nversion = "([^"]+)"/.exec(cargo)?.[1]
  assert.equal(kepler.version(), version)
  assert.equal(require('../package.json').version, version)
})
