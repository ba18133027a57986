// What each argument must be. What cannot be converted without loss or guess is refused before the native side sees it.

const { atOnce, byAndBy, figures, isNumbers, numerals, utf8 } = require('./copies.js')
const native = require('./kepler.node')
const {
  between,
  callable,
  expected,
  flag,
  instance,
  isRecord,
  list,
  number,
  options,
  refuse,
  signal,
  text,
  whole,
} = require('./kinds.js')

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
