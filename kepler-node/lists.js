// The long lists of a snapshot and of a registry. Their records are views: what they hold is fetched by column, some rows at
// a time, and only where a program looks. So a list of any length holds up the event loop no longer than its own rows take.

const { inspect } = require('node:util')

const ROWS = 512

/** Columns of one list, fetched when they are first looked at. */
class Table {
  #fetch
  #names
  #columns = new Map()

  /** `fetch(field, from, count)` gives rows of a column; `names(field)` what its figures are called, where it has several a row. */
  constructor(fetch, names = () => undefined) {
    this.#fetch = fetch
    this.#names = names
  }

  value(field, row) {
    let column = this.#columns.get(field)
    if (column === undefined) {
      column = { names: this.#names(field), blocks: [] }
      this.#columns.set(field, column)
    }
    const number = Math.floor(row / ROWS)
    column.blocks[number] ??= this.#fetch(field, number * ROWS, ROWS)
    const block = column.blocks[number]
    const { names } = column
    const at = row % ROWS
    if (names === undefined) return Array.isArray(block) ? word(block, at) : present(block[at])
    const figures = {}
    for (let i = 0; i < names.length; i++) {
      const figure = present(block[at * names.length + i])
      if (figure !== undefined) figures[names[i]] = figure
    }
    return figures
  }
}

/** Absent values come as NaN among numbers. */
const present = (value) => (Number.isNaN(value) ? undefined : value)

/** Words come as one text and their places in it, -1 where one is absent; lists of words as they are. */
const word = (block, at) => {
  const [text, places] = block
  if (typeof text !== 'string') return block[at]
  return places[2 * at] < 0 ? undefined : text.slice(places[2 * at], places[2 * at + 1])
}

/** Where a record's table and row are. A list has thousands: fields under symbols are made faster than private ones. */
const [TABLE, ROW] = [Symbol('table'), Symbol('row')]

/** A kind of record with these fields, in this order. */
function kind(name, fields) {
  const { [name]: type } = {
    [name]: function (table, row) {
      this[TABLE] = table
      this[ROW] = row
    },
  }
  const get = (field) =>
    function () {
      return this[TABLE].value(field, this[ROW])
    }
  for (const field of fields) Object.defineProperty(type.prototype, field, { enumerable: true, get: get(field) })
  type.prototype.toJSON = function () {
    const present = fields.filter((field) => this[field] !== undefined)
    return Object.fromEntries(present.map((field) => [field, this[field]]))
  }
  type.prototype[inspect.custom] = function (depth, options) {
    return depth < 0 ? `[${name}]` : `${name} ${inspect(this.toJSON(), options)}`
  }
  return type
}

const SEVERAL = ['joules', 'idleJoules', 'watts', 'counters']
const USAGE = ['cpuSeconds', ...SEVERAL]
const LISTS = {
  processes: kind('Process', [
    ...['pid', 'startSeconds', 'comm', 'exe', 'command', 'cgroup', 'container', 'pod', 'vm', 'unit', 'state'],
    ...USAGE,
  ]),
  containers: kind('Container', ['id', 'runtime', 'podUid', 'name', 'state', ...USAGE]),
  pods: kind('Pod', ['uid', 'name', 'namespace', 'state', ...USAGE]),
  vms: kind('VirtualMachine', ['id', 'name', 'hypervisor', 'state', ...USAGE]),
  ended: kind('Ended', ['container', 'comm', 'count', 'cpuSeconds', 'joules', 'idleJoules', 'counters']),
}
const NATIVE = { vms: 'virtualMachines' }
const ModelEntry = kind('ModelEntry', [
  ...['path', 'name', 'trainer', 'nodeType', 'source', 'outputType', 'group', 'features', 'maeWatts'],
])

function records(type, table, length) {
  const list = new Array(length)
  for (let row = 0; row < length; row++) list[row] = new type(table, row)
  return list
}

/** Adds a getter that makes its value once for each object. */
function once(type, name, make) {
  const made = new WeakMap()
  const get = function () {
    if (!made.has(this)) made.set(this, make(this))
    return made.get(this)
  }
  Object.defineProperty(type.prototype, name, { get, enumerable: true, configurable: true })
}

/** Gives the native classes their lists. */
function install({ Snapshot, ModelRegistry }) {
  for (const [list, type] of Object.entries(LISTS)) {
    once(Snapshot, list, (snapshot) => {
      const native = NATIVE[list] ?? list
      const names = (field) => (SEVERAL.includes(field) ? snapshot._names(field) : undefined)
      const table = new Table((...block) => snapshot._column(native, ...block), names)
      return records(type, table, snapshot._length(native))
    })
  }
  once(ModelRegistry, 'entries', (registry) => {
    const table = new Table((...block) => registry._column(...block))
    return records(ModelEntry, table, registry.length)
  })
}

module.exports = { install }
