// Arguments as programs hand them over. What cannot be converted without loss or guess is refused here, by its name and with
// the kind of error that the core has for it; `null` and `undefined` are options that are not given.

const { setImmediate: turn } = require('node:timers/promises')
const { inspect, types } = require('node:util')
const native = require('./kepler.node')

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

/** An array of numbers a feature. */
const columns = (given, what, copies) => {
  if (!isRecord(given)) refuse(what, expected('an object of one array of numbers a name', given))
  return Object.fromEntries(Object.entries(given).map(([name, values]) => [name, figures(values, name, copies)]))
}

/** What a model predicts from. */
const rows = (given, what, copies) => {
  if (isNumbers(given)) return figures(given, what, copies)
  if (isRecord(given)) return columns(given, what, copies)
  const takes = 'an object of one array of numbers a feature, or a Float64Array of the rows one after another'
  return refuse(what, expected(takes, given))
}

/** What a model learns from. */
const ROWS = { features: columns, targets: columns, times: figures, machines: numerals }
const trainingRows = options(ROWS, ['features', 'targets'])
const trainingData = (given, what, copies) => {
  if (typeof given === 'string') return given
  if (isRecord(given)) return trainingRows(given, what, copies)
  return refuse(what, expected('the path of a CSV file, or an object of features and targets', given))
}

const METER = { root: text, proc: text, sys: text, fake: flag, rapl: list(text), hwmon: flag }
const MONITOR = {
  ...METER,
  usage: text,
  counters: list(text),
  idle: text,
  idleShare: text,
  retention: number,
  endedLimit: whole(),
}
const SCOPE = { scope: text, pid: whole(1), cgroup: text }
const MACHINE = {
  vendor: text,
  processor: text,
  cores: whole(),
  chips: whole(),
  memory: whole(),
  frequency: whole(),
  threadsPerCore: whole(),
  guest: flag,
}
const SELECT = {
  source: text,
  outputType: text,
  features: list(text),
  machine: options(MACHINE),
  nodeType: whole(),
  trainer: text,
  filter: text,
  loose: flag,
  policy: text,
}
const TRAINING = {
  trainer: text,
  features: list(text),
  name: text,
  outputType: text,
  energySource: text,
  source: text,
  splits: list(text),
  folds: whole(),
  seed: whole(),
}
const COMMAND = { signal }
// A timer of Node counts milliseconds up to this, and takes what is more for 1.
const STREAM = { intervalMs: between(1, 2 ** 31 - 1), signal }

/** By the names that `index.d.ts` has for them. */
const KINDS = {
  CommandOptions: COMMAND,
  MachineSpec: MACHINE,
  MeterOptions: METER,
  MonitorOptions: MONITOR,
  ScopeOptions: SCOPE,
  SelectOptions: SELECT,
  StreamOptions: STREAM,
  TrainingOptions: TRAINING,
  TrainingRows: ROWS,
}

const meterOptions = options(METER)
const meter = instance(native.EnergyMeter)
const command = list(text)

/** Has the arguments of methods looked at before a call; `kinds` by the arguments' names. What returns a promise rejects. */
function checked(owner, methods, kinds) {
  const look = (args) => (copies) => Object.entries(kinds).map(([name, kind], at) => kind(args[at], name, copies))
  for (const method of methods) {
    const call = owner[method]
    const value = method.endsWith('Sync')
      ? function (...args) {
          return call.apply(this, atOnce(look(args)))
        }
      : async function (...args) {
          return call.apply(this, await byAndBy(look(args)))
        }
    Object.defineProperty(owner, method, { value })
  }
}

/** A class of the same objects whose static methods can be replaced, which those of a native class cannot. */
function open(type) {
  const { [type.name]: made } = {
    [type.name]: function (...args) {
      return Reflect.construct(type, args, new.target)
    },
  }
  made.prototype = type.prototype
  type.prototype.constructor = made
  for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(type))) {
    if (typeof value === 'function') Object.defineProperty(made, name, { value, configurable: true })
  }
  return made
}

/** Looks at the arguments of the native classes' methods, and gives those that a program is to have instead. */
function install({ EnergyMeter, Monitor, doctor, doctorSync, ...native }) {
  const [PowerModel, ModelRegistry] = [open(native.PowerModel), open(native.ModelRegistry)]
  const functions = { doctor, doctorSync }
  checked(EnergyMeter.prototype, ['measureCommandSync'], { command })
  checked(Monitor.prototype, ['namePods', 'namePodsSync'], { podList: utf8 })
  checked(PowerModel, ['load', 'loadSync'], { path: text })
  checked(PowerModel, ['fromJson', 'fromJsonSync'], { text: utf8 })
  checked(PowerModel.prototype, ['predict', 'predictSync', 'predictWithInterval'], { rows })
  checked(ModelRegistry, ['open', 'openSync'], { path: text })
  checked(ModelRegistry.prototype, ['model'], { path: text })
  checked(ModelRegistry.prototype, ['select'], { options: options(SELECT, ['source', 'outputType', 'features']) })
  checked(functions, ['doctor', 'doctorSync'], { options: meterOptions })
  return { ...functions, ModelRegistry, PowerModel }
}

module.exports = {
  block: callable,
  command: (given) => command(given, 'command'),
  commandOptions: options(COMMAND),
  install,
  kinds: KINDS,
  measureCommandOptions: options({ ...COMMAND, meter }),
  measureOptions: options({ ...SCOPE, meter }),
  meterOptions,
  monitorOptions: options(MONITOR),
  refuse,
  scopeOptions: options(SCOPE),
  streamOptions: options(STREAM),
  trainOptions: options({ ...TRAINING, onProgress: callable, signal }),
  trainingData: (given) => byAndBy((copies) => trainingData(given, 'data', copies)),
}
