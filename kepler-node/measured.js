// The records of what blocks used. The native side would take several times as long to set each field of one as to measure it. So
// it gives the figures in one array, and a whole record of its own only where zones or provenance have changed.

/** The last such record of each meter: its number, its zones' names and provenance, and that of the block. */
const kept = new WeakMap()

function last(meter, number) {
  const known = kept.get(meter)
  if (known?.number === number) return known
  const { zones, provenance } = meter._record()
  const list = Object.entries(zones).map(([name, zone]) => ({ name, provenance: { ...zone.provenance } }))
  const fresh = { number, zones: list, provenance: provenance && { ...provenance } }
  kept.set(meter, fresh)
  return fresh
}

/** What was used since `window` of `meter` began. Absent figures come as NaN. */
function used(meter, window) {
  const [number, joules, low, high, nodeJoules, watts, seconds, cpuSeconds, ...zones] = meter._end(window)
  const known = last(meter, number)
  const record = {}
  if (!Number.isNaN(joules)) record.joules = joules
  if (!Number.isNaN(low)) record.interval = [low, high]
  if (!Number.isNaN(nodeJoules)) record.nodeJoules = nodeJoules
  if (!Number.isNaN(watts)) record.watts = watts
  record.seconds = seconds
  record.cpuSeconds = cpuSeconds
  record.zones = {}
  for (const [at, { name, provenance }] of known.zones.entries()) {
    record.zones[name] = { joules: zones[2 * at], nodeJoules: zones[2 * at + 1], provenance: { ...provenance } }
  }
  if (known.provenance) record.provenance = { ...known.provenance }
  return record
}

/** A block of code that is being measured. */
class Block {
  #meter
  #window

  constructor(meter, { scope, pid, cgroup }) {
    this.#meter = meter
    this.#window = meter._begin(scope, pid, cgroup)
  }

  end() {
    return used(this.#meter, this.#window)
  }
}

module.exports = { Block }
