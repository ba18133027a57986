const { setImmediate: turn } = require('node:timers/promises')
const { isAsyncFunction } = require('node:util/types')
const native = require('./kepler.node')
const { Block } = require('./measured.js')
const take = require('./arguments.js')

require('./lists.js').install(native)
require('./show.js').install(native)
require('./debug.js').install(native)
const { doctor, doctorSync, ModelRegistry, PowerModel } = take.install(native)

/** A native class whose sources can be opened before something is asked of them. */
const openable = (type) =>
  class extends type {
    async open() {
      await this._open()
      return this
    }

    openSync() {
      this._openSync()
      return this
    }
  }

class EnergyMeter extends openable(native.EnergyMeter) {
  constructor(options) {
    super(take.meterOptions(options))
  }

  begin(options) {
    return new Block(this, take.scopeOptions(options))
  }

  async measureCommand(command, options) {
    const { signal } = take.commandOptions(options)
    const words = take.command(command)
    const run = (going) => super.measureCommand(words, going)
    return signal ? stoppable(signal, run) : run()
  }
}

/** Does work that a signal stops, as does the `stop` that it is handed. */
async function stoppable(signal, work) {
  const going = native._going()
  const stop = () => native._stop(going)
  if (signal?.aborted) stop()
  signal?.addEventListener('abort', stop)
  try {
    return await work(going, stop)
  } finally {
    signal?.removeEventListener('abort', stop)
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
  const begun = new Block(meter, scope)
  const value = await block()
  return Object.assign(begun.end(), { value })
}

function measureSync(block, options) {
  const { meter = defaultMeter(), ...scope } = take.measureOptions(options)
  take.block(block, 'block')
  const wait = () =>
    take.refuse('block', 'it returns a promise, which measureSync would not wait for; await measure(block)')
  if (isAsyncFunction(block)) wait()
  meter._openSync()
  const begun = new Block(meter, scope)
  const value = block()
  if (typeof value?.then === 'function') wait()
  return Object.assign(begun.end(), { value })
}

async function measureCommand(command, options) {
  const { meter = defaultMeter(), ...rest } = take.measureCommandOptions(options)
  return meter.measureCommand(command, rest)
}

async function train(data, options) {
  const { onProgress, signal, ...wanted } = take.trainOptions(options)
  const rows = await take.trainingData(data)
  // What fails first is told: the training, or who is told of it.
  let [model, failed] = [undefined, undefined]
  await stoppable(signal, async (going, stop) => {
    const fail = (error) => {
      failed ??= { error }
      stop()
    }
    const hear = async (...now) => failed || onProgress(...now)
    const tell = onProgress && ((...now) => void hear(...now).catch(fail))
    try {
      model = await native._train(rows, wanted, tell, going)
    } catch (error) {
      fail(error)
    }
  })
  // The last reports lie in the queue of this turn of the event loop.
  if (onProgress) await turn()
  if (failed) throw failed.error
  return model
}

class Monitor extends openable(native.Monitor) {
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
