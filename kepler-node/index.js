const native = require('./kepler.node')

require('./lists.js').install(native)
require('./debug.js').install(native)

// One meter for the whole process (for each worker thread), opened when it is first needed.
let opened
const defaultMeter = () => {
  opened ??= new native.EnergyMeter()
  return opened
}

async function measure(block, options = {}) {
  const { meter = defaultMeter(), ...scope } = options
  await meter._open()
  const window = meter.begin(scope)
  const value = await block()
  return { ...window.end(), value }
}

function measureSync(block, options = {}) {
  const { meter = defaultMeter(), ...scope } = options
  const window = meter.begin(scope)
  const value = block()
  return { ...window.end(), value }
}

const measureCommand = async (command, { meter = defaultMeter() } = {}) => meter.measureCommand(command)

// Lists of numbers become typed arrays here, where that is fast.
const typed = (column, type = Float64Array) => (Array.isArray(column) ? type.from(column) : column)
const typedColumns = (columns) =>
  Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, typed(column)]))

for (const method of ['predict', 'predictSync', 'predictWithInterval']) {
  const predict = native.PowerModel.prototype[method]
  native.PowerModel.prototype[method] = function (rows) {
    return predict.call(this, rows instanceof Float64Array ? rows : typedColumns(rows))
  }
}

const typedRows = ({ features, targets, times, machines }) => ({
  features: typedColumns(features),
  targets: typedColumns(targets),
  times: typed(times),
  machines: typed(machines, Uint32Array),
})

async function train(data, { onProgress, signal, ...options } = {}) {
  const stop = new native.Stop()
  const abort = () => stop.stop()
  if (signal?.aborted) abort()
  signal?.addEventListener('abort', abort)
  try {
    return await native._train(typeof data === 'string' ? data : typedRows(data), options, onProgress, stop)
  } finally {
    signal?.removeEventListener('abort', abort)
  }
}

class Monitor extends native.Monitor {
  async *stream({ intervalMs = 1000, signal } = {}) {
    await this.sample()
    while (!signal?.aborted) {
      await pause(intervalMs, signal)
      if (!signal?.aborted) {
        yield await this.sample()
      }
    }
  }
}

const pause = (ms, signal) =>
  new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal?.addEventListener('abort', done)
  })

module.exports = {
  EnergyMeter: native.EnergyMeter,
  ModelRegistry: native.ModelRegistry,
  Monitor,
  PowerModel: native.PowerModel,
  Snapshot: native.Snapshot,
  doctor: native.doctor,
  doctorSync: native.doctorSync,
  measure,
  measureCommand,
  measureSync,
  train,
  version: native.version,
}
