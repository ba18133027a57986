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

test('types are those of the shared list', () => {
  const types = names.filter((name) => /^[A-Z]/.test(name))
  assert.deepEqual(sorted(types), sorted([...api.node.classes]))
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
