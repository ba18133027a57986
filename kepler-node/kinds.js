// Kinds of values, as programs hand them over. What is not of its kind is refused by its name, with the kind of error that the core
// has for it; `null` and `undefined` are options that are not given.

const { inspect } = require('node:util')

const refuse = (what, why) => {
  throw Object.assign(new Error(`${what}: ${why}`), { code: 'InvalidInput' })
}

const shown = (value) => inspect(value, { depth: 0, breakLength: Number.POSITIVE_INFINITY, maxStringLength: 60 })

const expected = (takes, value) => `expected ${takes}, found ${shown(value)}`

/** Takes the values that `holds` is true of. */
const taken = (takes, holds) => (value, what) => (holds(value) ? value : refuse(what, expected(takes, value)))

const text = taken('a string', (value) => typeof value === 'string')
const flag = taken('true or false', (value) => typeof value === 'boolean')
const callable = taken('a function', (value) => typeof value === 'function')
const number = taken('a number', (value) => typeof value === 'number')
const between = (least, most) =>
  taken(`a number from ${least} to ${most}`, (value) => typeof value === 'number' && value >= least && value <= most)
const isWhole = (least, most) => (value) => Number.isInteger(value) && value >= least && value <= most
const whole = (least = 0, most = 2 ** 32 - 1) => taken(`a whole number from ${least} to ${most}`, isWhole(least, most))
const signal = taken('an AbortSignal', (value) => typeof value === 'object' && 'aborted' in value)
const instance = (type) => taken(`an instance of ${type.name}`, (value) => value instanceof type)

/** A list of one kind of value. */
const list = (kind) => (values, what) => {
  if (!Array.isArray(values)) refuse(what, expected('an array', values))
  return Array.from(values, (value, at) => kind(value, `${what}[${at}]`))
}

const isRecord = (value) =>
  typeof value === 'object' && value !== null && !(Symbol.iterator in value) && !ArrayBuffer.isView(value)

/** An object of named values, each of its own kind, some of them required. */
const options =
  (kinds, required = []) =>
  (given, what = 'options', copies = undefined) => {
    const record = given ?? {}
    if (!isRecord(record)) refuse(what, expected('an object of options', given))
    const found = {}
    for (const name in record) {
      if (!Object.hasOwn(kinds, name)) refuse(name, `no such option; ${instead(name, Object.keys(kinds))}`)
      if (record[name] !== undefined && record[name] !== null) found[name] = kinds[name](record[name], name, copies)
    }
    for (const name of required) if (found[name] === undefined) refuse(name, 'it is missing')
    return found
  }

function instead(name, names) {
  const [nearest] = names.map((one) => [distance(name.toLowerCase(), one.toLowerCase()), one]).sort(([a], [b]) => a - b)
  return nearest[0] <= Math.min(2, name.length / 2) ? `did you mean ${nearest[1]}?` : `there are ${names.join(', ')}`
}

/** How many letters must be put in, taken out or changed to make one word of another. */
function distance(a, b) {
  let last = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1]
    for (let j = 0; j < b.length; j++) {
      next.push(Math.min(next[j] + 1, last[j + 1] + 1, last[j] + (a[i] === b[j] ? 0 : 1)))
    }
    last = next
  }
  return last[b.length]
}

module.exports = {
  between,
  callable,
  expected,
  flag,
  instance,
  isRecord,
  isWhole,
  list,
  number,
  options,
  refuse,
  signal,
  text,
  whole,
}
