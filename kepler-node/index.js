const { setImmediate: turn } = require('node:timers/promises')
const { isAsyncFunction } = require('node:util/types')
const native = require('./kepler.node')
const take = require('./arguments.js')

require('./lists.js').install(native)
require('./show.js').install(native)
require('./debug.js').install(native)
const { doctor, doctorSync, ModelRegistry, PowerModel } = take.install(native)

class EnergyMeter extends native.EnergyMeter {
  constructor(options) {
    super(take.meterOptions(options))
  }
}

// One meter for the whole process (for each worker thread), opened when it is first needed.
let opened
const defaultMeter = () => {
  opened ??= new EnergyMeter()
  return opened
}

async function measure(block, options) {
  const { meter = defaultMeter(), ...scope } = take.measureOptions(options)
  take.block(block, 'block')
  await meter._open()
  const window = meter.begin(scope)
  const value = await block()
  return { ...window.end(), value }
}

function measureSync(block, options) {
  const { meter = defaultMeter(), ...scope } = take.measureOptions(options)
  take.block(block, 'block')
  const wait = () =>
    take.refuse('block', 'it returns a promise, which measureSync would not wait for; await measure(block)')
  if (isAsyncFunction(block)) wait()
  const window = meter.begin(scope)
  const value = block()
  if (typeof value?.then === 'function') wait()
  return { ...window.end(), value }
}

async function measureCommand(command, options) {
  const { meter = defaultMeter() } = take.commandOptions(options)
  return meter.measureCommand(command)
}

async function train(data, options) {
  const { onProgress, signal, ...wanted } = take.trainOptions(options)
  const rows = take.trainingData(data, 'data')
  const stop = new native.Stop()
  const abort = () => stop.stop()
  if (signal?.aborted) abort()
  signal?.addEventListener('abort', abort)
  // What fails first is told: the training, or who is told of it.
  let [model, failed] = [undefined, undefined]
  const fail = (error) => {
    failed ??= { error }
    stop.stop()
  }
  const hear = async (...now) => failed || onProgress(...now)
  const tell = onProgress && ((...now) => void hear(...now).catch(fail))
  try {
    model = await native._train(rows, wanted, tell, stop)
  } catch (error) {
    fail(error)
  } finally {
    signal?.removeEventListener('abort', abort)
  }
  // The last reports lie in the queue of this turn of the event loop.
  if (tell) await turn()
  if (failed) throw failed.error
  return model
}

class Monitor extends native.Monitor {
  constructor(options) {
    super(take.monitorOptions(options))
  }

  get meter() {
    return Object.setPrototypeOf(super.meter, EnergyMeter.prototype)
  }

  stream(options) {
    return samples(this, take.streamOptions(options))
  }
}

async function* samples(monitor, { intervalMs = 1000, signal }) {
  await monitor.sample()
  while (!signal?.aborted) {
    await pause(intervalMs, signal)
    if (!signal?.aborted) {
      yield await monitor.sample()
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
  EnergyMeter,
  ModelRegistry,
  Monitor,
  PowerModel,
  Snapshot: native.Snapshot,
  doctor,
  doctorSync,
  measure,
  measureCommand,
  measureSync,
  train,
  version: native.version,
}
