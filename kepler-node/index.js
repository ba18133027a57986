const native = require('./kepler.node')

// One meter for the whole process (for each worker thread), opened when it is first needed.
let opened
const defaultMeter = () => {
  opened ??= new native.EnergyMeter()
  return opened
}

async function measure(block, options = {}) {
  const { meter = defaultMeter(), ...scope } = options
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

async function train(data, { onProgress, signal, ...options } = {}) {
  const stop = new native.Stop()
  const abort = () => stop.stop()
  if (signal?.aborted) abort()
  signal?.addEventListener('abort', abort)
  try {
    return await native._train(data, options, onProgress, stop)
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
