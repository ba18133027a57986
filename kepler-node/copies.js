// Long arguments, which are copied for the native side: some rows or letters at a time, so that none holds up the event loop however
// long it is.

const { setImmediate: turn } = require('node:timers/promises')
const { types } = require('node:util')
const { expected, isWhole, refuse } = require('./kinds.js')

const isNumbers = (value) =>
  ArrayBuffer.isView(value) &&
  !types.isDataView(value) &&
  !types.isBigInt64Array(value) &&
  !types.isBigUint64Array(value)

/** A number a row. What is no typed array yet becomes one when `copies` are taken. */
const column = (type, isType, takes, holds) => (values, what, copies) => {
  if (isType(values)) return values
  if (!Array.isArray(values) && !isNumbers(values)) {
    refuse(what, expected('an array of numbers, or a typed array such as Float64Array', values))
  }
  const made = new type(values.length)
  const take = (row) => {
    if (!holds(values[row])) refuse(what, `row ${row}: ${expected(takes, values[row])}`)
    made[row] = values[row]
  }
  copies.push(steps(take, made.length))
  return made
}

/** Takes some rows at each step, and tells how many. */
function* steps(take, length) {
  for (let row = 0; row < length; ) {
    const from = row
    for (const end = Math.min(length, row + ROWS_AT_ONCE); row < end; row++) take(row)
    yield row - from
  }
}

/** What takes a tenth of a millisecond or so. */
const ROWS_AT_ONCE = 1 << 14

/** Text as UTF-8. A string becomes it when `copies` are taken. */
const utf8 = (given, what, copies) => {
  if (types.isUint8Array(given)) return given
  if (typeof given !== 'string') refuse(what, expected('a string, or a Uint8Array of UTF-8', given))
  const made = new Encoded(given)
  copies.push(made.letters())
  return made
}

/** A string that becomes UTF-8. How long that is would take as long to find as to write it. */
class Encoded {
  #text
  #made
  #length = 0

  constructor(text) {
    this.#text = text
    this.#made = Buffer.allocUnsafeSlow(3 * text.length)
  }

  get bytes() {
    return this.#made.subarray(0, this.#length)
  }

  /** Some at each step: a letter is half of the work that a row is, on pages of memory that are new. */
  *letters() {
    const text = this.#text
    for (let from = 0, end = 0; from < text.length; from = end) {
      end = Math.min(text.length, from + 2 * ROWS_AT_ONCE)
      // a letter of two units is not cut in two
      if (end < text.length && isHighSurrogate(text.charCodeAt(end - 1))) end++
      this.#length += this.#made.write(text.slice(from, end), this.#length)
      yield (end - from) / 2
    }
  }
}

/** Arguments as the native side takes them, once all copies are taken. */
const settled = (given) =>
  Array.isArray(given) ? given.map((one) => (one instanceof Encoded ? one.bytes : one)) : given

const isHighSurrogate = (unit) => unit >= 0xd800 && unit < 0xdc00

/** Looks at arguments by `look(copies)`, and copies what must be copied in one go. */
function atOnce(look) {
  const copies = []
  const given = look(copies)
  for (const copy of copies) while (!copy.next().done);
  return settled(given)
}

/** As `atOnce`, without holding up the event loop, however many rows there are. */
async function byAndBy(look) {
  const copies = []
  const given = look(copies)
  let rows = 0
  for (const copy of copies) {
    for (const more of copy) {
      rows += more
      if (rows < ROWS_AT_ONCE) continue
      await turn()
      rows = 0
    }
  }
  return settled(given)
}

const figures = column(Float64Array, types.isFloat64Array, 'a number', (value) => typeof value === 'number')
const numerals = column(Uint32Array, types.isUint32Array, 'a whole number from 0', isWhole(0, 2 ** 32 - 1))

module.exports = { atOnce, byAndBy, figures, isNumbers, numerals, utf8 }
