// How long the event loop of Node is held up: node benches/loop.cjs KEPLER ROOT, one line of JSON for each call.
// ROOT is a machine made of files. A chain of immediates sees each gap, by the wall clock and by the thread's own CPU time (which
// what else the machine does cannot lengthen); of several runs the least counts.

const kepler = require(process.argv[2])
const root = process.argv[3]
const thread = new kepler.EnergyMeter({ fake: true }).openSync().begin({ scope: 'thread' })

async function longestGap(call) {
  const longest = { ms: 0, cpuMs: 0 }
  let running = true
  const now = () => ({ ms: performance.now(), cpuMs: thread.end().cpuSeconds * 1e3 })
  let last = now()
  const look = () => {
    const here = now()
    for (const clock of ['ms', 'cpuMs']) longest[clock] = Math.max(longest[clock], here[clock] - last[clock])
    last = here
    if (running) setImmediate(look)
  }
  setImmediate(look)
  await call()
  await new Promise(setImmediate)
  running = false
  look()
  return longest
}

async function tell(what, prepare, call, runs = 15) {
  const gaps = []
  for (let run = 0; run < runs; run++) {
    const given = await prepare()
    await new Promise((resolve) => setTimeout(resolve, 5))
    gaps.push(await longestGap(() => call(given)))
  }
  const least = (clock) => Math.min(...gaps.map((gap) => gap[clock]))
  console.log(JSON.stringify({ what, ms: least('ms'), cpuMs: least('cpuMs') }))
}

const rows = 100_000
const columns = { bpf_cpu_time_ms: Array.from({ length: rows }, (_, i) => i % 1000), cpu_cycles: new Float64Array(rows) }
const model = {
  format: 'kepler-model/1',
  name: 'line',
  output_type: 'AbsPower',
  features: Object.keys(columns).map((name) => ({ name, unit: '1/s', scale: 1 })),
  components: { package: { estimator: { kind: 'linear', intercept: 10, weights: [0.02, 0.5] } } },
}

async function main() {
  const nothing = async () => undefined
  const sampled = async () => {
    const monitor = new kepler.Monitor({ root, usage: 'procfs' })
    await monitor.sample()
    return monitor.sample()
  }
  const monitor = new kepler.Monitor({ root, usage: 'procfs' })
  const meter = new kepler.EnergyMeter()
  await tell('new Monitor() and its first sample', nothing, () => new kepler.Monitor({ fake: true }).sample())
  await tell('monitor.sample()', nothing, () => monitor.sample())
  await tell('all processes by their CPU time', sampled, async ({ processes }) =>
    processes.reduce((a, b) => (a.cpuSeconds > b.cpuSeconds ? a : b)),
  )
  await tell('a process by its name', sampled, async ({ processes }) => processes.find((one) => one.comm === 'none'))
  await tell('snapshot.node', sampled, async ({ node }) => node.domains)
  await tell('the first measure() of a meter', nothing, () => kepler.measure(nothing, { meter: new kepler.EnergyMeter() }))
  await tell('open() of a meter', nothing, () => new kepler.EnergyMeter().open())
  await tell('measure()', nothing, () => kepler.measure(nothing, { meter }))
  await tell('doctor()', nothing, () => kepler.doctor())
  const text = JSON.stringify(model)
  await tell(`predict() of ${rows} rows`, () => kepler.PowerModel.fromJson(text), (line) => line.predict(columns))
  // texts as they come from a file or a socket: of one piece
  const long = Buffer.from(JSON.stringify({ ...model, name: 'ä'.repeat(1_900_000) })).toString()
  await tell('fromJson() of a string of 3.8 MB', nothing, () => kepler.PowerModel.fromJson(long))
  const named = await kepler.PowerModel.fromJson(long)
  await tell('toJson() of 3.8 MB', nothing, () => named.toJson())
}

main()
