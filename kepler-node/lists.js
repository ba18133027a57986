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
    const [block, names, at] = [column.blocks[number], column.names, row % ROWS]
    if (names === undefined) return present(block[at])
    const figures = {}
    for (let i = 0; i < names.length; i++) {
      const figure = present(block[at * names.length + i])
      if (figure !== undefined) figures[names[i]] = figure
    }
    return figures
  }
}

/** Absent values come as null among words and as NaN among numbers. */
const present = (value) => (value === null || Number.isNaN(value) ? undefined : value)

class Row {
  #table
  #row

  constructor(table, row) {
    this.#table = table
    this.#row = row
  }

  /** A kind of record with these fields, in this order. */
  static kind(name, fields) {
    const type = { [name]: class extends Row {} }[name]
    const property = (field) => ({ enumerable: true, get: Row.#getter(field) })
    Object.defineProperties(type.prototype, Object.fromEntries(fields.map((field) => [field, property(field)])))
    type.prototype.toJSON = function () {
      const present = fields.filter((field) => this[field] !== undefined)
      return Object.fromEntries(present.map((field) => [field, this[field]]))
    }
    return type
  }

  static #getter(field) {
    return function () {
      return this.#table.value(field, this.#row)
    }
  }

  [inspect.custom](depth, options) {
    return depth < 0 ? `[${this.constructor.name}]` : `${this.constructor.name} ${inspect(this.toJSON(), options)}`
  }
}

const SEVERAL = ['joules', 'idleJoules', 'watts', 'counters']
const USAGE = ['cpuSeconds', ...SEVERAL]
const LISTS = {
  processes: Row.kind('Process', [
    ...['pid', 'startSeconds', 'comm', 'exe', 'command', 'cgroup', 'container', 'pod', 'vm', 'unit', 'state'],
    ...USAGE,
  ]),
  containers: Row.kind('Container', ['id', 'runtime', 'podUid', 'name', 'state', ...USAGE]),
  pods: Row.kind('Pod', ['uid', 'name', 'namespace', 'state', ...USAGE]),
  vms: Row.kind('VirtualMachine', ['id', 'name', 'hypervisor', 'state', ...USAGE]),
  ended: Row.kind('Ended', ['container', 'comm', 'count', 'cpuSeconds', 'joules', 'idleJoules', 'counters']),
}
const NATIVE = { vms: 'virtualMachines' }
const ModelEntry = Row.kind('ModelEntry', [
  ...['path', 'name', 'trainer', 'nodeType', 'source', 'outputType', 'group', 'features', 'maeWatts'],
])

const records = (type, table, length) => Array.from({ length }, (_, row) => new type(table, row))

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
