// What `console.log` and `JSON.stringify` show of the native classes, whose fields are getters that neither looks at.

const { inspect } = require('node:util')

const SNAPSHOT = [
  ...['sequence', 'time', 'interval', 'node', 'processes', 'containers', 'pods', 'vms', 'ended'],
  ...['idleSplit', 'idleShare', 'sources', 'complaints', 'cost', 'stats'],
]
const MODEL = ['name', 'features', 'components', 'outputType', 'energySource']

const copy = (object, fields) => Object.fromEntries(fields.map((field) => [field, object[field]]))

/** Has `console.log` show the class's name and what `show(object)` tells. */
function shown(type, show) {
  type.prototype[inspect.custom] = function (depth, options) {
    return depth < 0 ? `[${type.name}]` : `${type.name} ${inspect(show(this), options)}`
  }
}

/** How long a list is; as a word, not as a string. */
const length = (list) => ({ [inspect.custom]: () => `[${list.length} records]` })

/** Of what opens its sources later: to look at it opens none. */
const CLOSED = { opened: false }

function install({ EnergyMeter, ModelRegistry, Monitor, PowerModel, Snapshot }) {
  shown(EnergyMeter, ({ _energy: energy }) => (energy ? { energy } : CLOSED))
  shown(Monitor, (monitor) => {
    if (!monitor._opened) return CLOSED
    const { energy, usage } = monitor.sources
    return { energy, usage }
  })
  shown(ModelRegistry, (registry) => ({ entries: length(registry) }))

  Snapshot.prototype.toJSON = function () {
    return copy(this, SNAPSHOT)
  }
  // A list of records is as long as the machine has processes.
  const brief = (value) => (Array.isArray(value) && typeof value[0] === 'object' ? length(value) : value)
  shown(Snapshot, (snapshot) => Object.fromEntries(SNAPSHOT.map((field) => [field, brief(snapshot[field])])))

  PowerModel.prototype.toJSON = function () {
    return JSON.parse(this.toJsonSync())
  }
  shown(PowerModel, (model) => copy(model, MODEL))
}

module.exports = { install }
