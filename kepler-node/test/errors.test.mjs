import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'

const require = createRequire(import.meta.url)
const native = require('../kepler.node')
const api = require('../../kepler-core/tests/api.json')

for (const kind of api.errors) {
  test(`err.code of ${kind} is its kind`, () => {
    assert.throws(
      () => native._throw(kind),
      (error) => error instanceof Error && error.code === kind && error.message.length > 0,
    )
  })
}
