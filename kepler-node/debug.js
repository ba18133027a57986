// NODE_DEBUG=kepler tells on stderr which sources are in use, which are not and why, and what a sample lacks.

const log = require('node:util').debuglog('kepler')

const line = ({ part, active, why, hint }) =>
  `${part}: ${active ? 'on' : 'off'}${why && ` (${why})`}${hint && `; ${hint}`}`

/** Has `hear(object, result)` called after each call of a method that did not fail. */
function after(type, methods, hear) {
  for (const method of methods) {
    const call = type.prototype[method]
    type.prototype[method] = function (...args) {
      const result = call.apply(this, args)
      const told = (value) => {
        hear(this, value)
        return value
      }
      return result instanceof Promise ? result.then(told) : told(result)
    }
  }
}

function install({ EnergyMeter, Monitor }) {
  if (!log.enabled) return
  const known = new WeakSet()
  const opened = (source, notes) => {
    if (!known.has(source)) for (const note of notes()) log(line(note))
    known.add(source)
  }
  const opening = ['_open', '_openSync']
  after(EnergyMeter, [...opening, 'measureCommand', 'measureCommandSync'], (meter) => opened(meter, () => meter.notes))
  after(Monitor, opening, (monitor) => opened(monitor, () => monitor.sources.notes))
  after(Monitor, ['sample', 'sampleSync'], (monitor, snapshot) => {
    opened(monitor, () => snapshot.sources.notes)
    const ms = (snapshot.cost.wallSeconds * 1e3).toFixed(1)
    log(`sample ${snapshot.sequence}: ${snapshot.processes.length} processes in ${ms} ms`)
    for (const complaint of snapshot.complaints) log(complaint)
  })
}

module.exports = { install }
