import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

for (const readme of ['../../README.md', '../README.md']) {
  test(`the examples of ${readme} run from top to bottom`, () => {
    const text = readFileSync(new URL(readme, import.meta.url), 'utf8')
    const blocks = [...text.matchAll(/```js\n(.*?)```/gs)].map(([, block]) => block)
    assert.ok(blocks.length > 0)
    const code = blocks.join('\n').replaceAll("'kepler'", JSON.stringify(new URL('../index.mjs', import.meta.url).href))
    assert.ok(execFileSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' }).length > 0)
  })
}
