import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { doctor, doctorSync, EnergyMeter, Monitor, measure, measureSync } from '../index.mjs'
import { burn, close, FakeHost, sleep } from './host.mjs'

const api = createRequire(import.meta.url)('../../kepler-core/tests/api.json')

test('a scripted meter shows its power and adds up', async () => {
  const monitor = new Monitor({ fake: true, usage: 'procfs' })
  await monitor.sample()
  await sleep(200)
  const snapshot = await monitor.sample()
  const domain = snapshot.node.domains.package
  assert.ok(close(domain.watts, 20, 0.01), `${domain.watts}`)
  assert.ok(close(domain.joules, domain.activeJoules + domain.idleJoules, 1e-9))
  const sum = (items) => items.reduce((total, item) => total + item.joules.package, 0)
  const residual = Object.values(domain.residual).reduce((a, b) => a + b)
  const charged = sum(snapshot.processes) + sum(snapshot.ended) + residual
  assert.ok(close(charged, domain.activeJoules, 1e-9), `${charged} ${domain.activeJoules}`)
})

test('a machine of files has its own zones', async (t) => {
  const host = new FakeHost(t)
  const monitor = new Monitor({ root: host.root, usage: 'procfs' })
  await monitor.sample()
  assert.deepEqual(monitor.sources.energy, ['rapl-powercap'])
  host.meter(4_000_000, 1_500_000)
  const { node } = await monitor.sample()
  const zones = Object.fromEntries(node.zones.map((zone) => [zone.name, zone]))
  assert.ok(close(zones['package-0'].joules, 3, 1e-9))
  assert.ok(close(zones.dram.joules, 0.5, 1e-9))
  assert.equal(node.cpus, 2)
})

test('a pod list names pods and their containers', async (t) => {
  const [uid, container] = ['6c2b6f94-1f0c-4f9e-8a11-0b2d8e7c5a33', '4e'.repeat(32)]
  const host = new FakeHost(t)
  host.write('proc/1/cgroup', `0::/kubepods/burstable/pod${uid}/${container}\n`)
  host.write('sys/fs/cgroup/cgroup.controllers', 'cpu memory\n')
  const monitor = new Monitor({ root: host.root, usage: 'procfs' })
  assert.equal((await monitor.sample()).pods[0].name, undefined)
  const status = { name: 'nginx', containerID: `containerd://${container}`, restartCount: 0 }
  const metadata = { uid, name: 'web-1', namespace: 'shop' }
  const list = JSON.stringify({ items: [{ metadata, status: { containerStatuses: [status] } }] })
  assert.equal(await monitor.namePods(list), 1)
  const { pods, containers, processes } = await monitor.sample()
  assert.deepEqual([pods[0].uid, pods[0].name, pods[0].namespace], [uid, 'web-1', 'shop'])
  assert.equal(containers[0].name, 'nginx')
  assert.equal(processes[0].pod, uid)
  assert.equal(monitor.namePodsSync(list), 1)
  assert.equal(await monitor.namePods(Buffer.from(list)), 1)
  await assert.rejects(monitor.namePods('<html>'), { code: 'Malformed' })
  assert.throws(() => monitor.namePodsSync('<html>'), { code: 'Malformed' })
})

test('this process is seen with its CPU time', async () => {
  const monitor = new Monitor({ fake: true })
  await monitor.sample()
  burn(0.2)
  const own = (await monitor.sample()).processes.find((process_) => process_.pid === process.pid)
  assert.ok(own.cpuSeconds > 0.15, `${own.cpuSeconds}`)
  assert.ok(own.joules.package > 0)
  assert.equal(own.state, 'running')
})

test('records of a snapshot look their fields up, and copy to plain objects', async () => {
  const monitor = new Monitor({ fake: true, usage: 'procfs' })
  await monitor.sample()
  const { processes, ...rest } = await monitor.sample()
  assert.deepEqual(rest, {}) // lists are not made before they are asked for
  const snapshot = await monitor.sample()
  assert.equal(snapshot.processes, snapshot.processes)
  const own = snapshot.processes.find((one) => one.pid === process.pid)
  const copy = own.toJSON()
  assert.deepEqual(JSON.parse(JSON.stringify(own)), JSON.parse(JSON.stringify(copy)))
  assert.deepEqual(Object.keys(copy.joules), ['package', 'core', 'dram'])
  for (const [field, value] of Object.entries(copy)) assert.deepEqual(own[field], value)
  assert.ok(copy.exe.length > 0 && copy.command.includes('monitor.test') && copy.startSeconds > 0)
  assert.match(inspect(own), /^Process \{\n {2}pid: \d+,/)
  assert.equal(processes.length > 1, true)
  assert.equal(snapshot.processes.find((one) => one.pid === 2)?.exe, undefined)
})

test('a snapshot shows itself and copies to JSON', async () => {
  const monitor = new Monitor({ fake: true, usage: 'procfs' })
  const first = await monitor.sample()
  assert.equal(first.interval, undefined)
  assert.equal('interval' in JSON.parse(JSON.stringify(first)), false)
  const snapshot = await monitor.sample()
  const copy = JSON.parse(JSON.stringify(snapshot))
  assert.deepEqual([copy.sequence, copy.time, copy.interval], [2, snapshot.time, snapshot.interval])
  assert.deepEqual(copy.node, JSON.parse(JSON.stringify(snapshot.node)))
  assert.equal(copy.processes.length, snapshot.processes.length)
  assert.ok(copy.processes.find(({ pid }) => pid === process.pid).command.includes('monitor.test'))
  const listed = api.types.Snapshot.map((name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase()))
  assert.deepEqual(Object.keys(copy).sort(), listed.sort())
  const shown = inspect(snapshot)
  assert.match(shown, /^Snapshot \{\n {2}sequence: 2,/)
  assert.ok(shown.includes(`processes: [${snapshot.processes.length} records],`), shown)
  assert.equal(inspect({ deep: { snapshot } }, { depth: 0 }), '{ deep: [Object] }')
  assert.equal(inspect({ snapshot }, { depth: 0 }), '{ snapshot: [Snapshot] }')
})

test('monitors and meters show which sources they use, and open none to show it', async (t) => {
  const root = new FakeHost(t).root
  const [monitor, meter] = [new Monitor({ root, usage: 'procfs' }), new EnergyMeter({ root })]
  assert.equal(inspect(monitor), 'Monitor { opened: false }')
  assert.equal(inspect(meter), 'EnergyMeter { opened: false }')
  await monitor.sample()
  await measure(() => 0, { meter })
  assert.equal(inspect(monitor), "Monitor { energy: [ 'rapl-powercap' ], usage: 'procfs' }")
  assert.equal(inspect(meter), "EnergyMeter { energy: [ 'rapl-powercap' ] }")
  assert.equal(inspect(monitor.meter), inspect(meter))
  assert.equal(inspect({ monitor, meter }, { depth: 0 }), '{ monitor: [Monitor], meter: [EnergyMeter] }')
})

test('the words of a list are told as they stand, whatever letters they have', async (t) => {
  const host = new FakeHost(t)
  const names = ['plain', 'größe', '', '😀 and 漢', 'last']
  for (const [at, name] of names.entries()) {
    host.write(`proc/${at + 2}/stat`, `${at + 2} (${name}) S 1${' 0'.repeat(48)}\n`)
    if (at === 1) host.write(`proc/${at + 2}/cmdline`, '/bin/größe\0-ü\0')
  }
  const monitor = new Monitor({ root: host.root, usage: 'procfs' })
  const processes = (await monitor.sample()).processes.sort((a, b) => a.pid - b.pid)
  assert.deepEqual(
    processes.map(({ comm }) => comm),
    ['init', ...names],
  )
  assert.deepEqual(
    processes.map(({ command }) => command),
    [undefined, undefined, '/bin/größe -ü', undefined, undefined, undefined],
  )
})

test('what cannot be opened says so to whoever waits for it', async () => {
  const monitor = new Monitor({ root: '/nowhere', usage: 'procfs' })
  const meter = new EnergyMeter({ root: '/nowhere' })
  const none = { code: 'NotFound' }
  for (const source of [monitor, meter]) {
    await assert.rejects(source.open(), none)
    assert.throws(() => source.openSync(), none)
  }
  await assert.rejects(monitor.sample(), none)
  assert.throws(() => monitor.sampleSync(), none)
  await assert.rejects(
    measure(() => 0, { meter }),
    none,
  )
  assert.throws(() => measureSync(() => 0, { meter }), none)
  await assert.rejects(meter.measureCommand(['true']), none)
  assert.throws(() => meter.measureCommandSync(['true']), none)
})

test('what would have to open something first is refused until it is open', async (t) => {
  const { root } = new FakeHost(t)
  const closed = (what) => ({
    code: 'InvalidInput',
    message: new RegExp(`^${what}: it is not open yet: await open\\(\\)`),
  })
  const monitors = [1, 2].map(() => new Monitor({ root, usage: 'procfs' }))
  const meters = [...[1, 2].map(() => new EnergyMeter({ root })), monitors[0].meter]
  for (const monitor of monitors) assert.throws(() => monitor.sources, closed('monitor'))
  for (const meter of meters) {
    assert.throws(() => meter.notes, closed('meter'))
    assert.throws(() => meter.begin(), closed('meter'))
  }
  const opened = [await monitors[0].open(), monitors[1].openSync(), await meters[0].open(), meters[1].openSync()]
  for (const [at, one] of [...monitors, ...meters.slice(0, 2)].entries()) assert.equal(opened[at], one)
  for (const monitor of monitors) assert.deepEqual(monitor.sources.energy, ['rapl-powercap'])
  await meters[2].open() // the monitor's own, which is open
  for (const meter of meters) {
    assert.ok(meter.notes.some(({ active }) => active))
    assert.equal(meter.begin().end().provenance.source, 'rapl-powercap')
  }
  assert.equal(await monitors[0].open(), monitors[0])
})

test('a stream samples until it is left, and its timers end with it', async () => {
  const seen = []
  for await (const snapshot of new Monitor({ fake: true, usage: 'procfs' }).stream({ intervalMs: 5 })) {
    seen.push(snapshot.sequence)
    if (seen.length === 3) break
  }
  assert.deepEqual(seen, [2, 3, 4])
})

test('a stream ends at its signal', async () => {
  const stop = new AbortController()
  const stream = new Monitor({ fake: true, usage: 'procfs' }).stream({ intervalMs: 60_000, signal: stop.signal })
  setTimeout(() => stop.abort(), 20)
  for await (const _ of stream) assert.fail('the signal came before the first interval was over')
})

test('several monitors have their own totals', async () => {
  const [first, second] = [1, 2].map(() => new Monitor({ fake: true, usage: 'procfs' }))
  first.sampleSync()
  await sleep(50)
  second.sampleSync()
  await sleep(10)
  const joules = (monitor) => monitor.sampleSync().node.domains.package.joules
  assert.ok(joules(first) > joules(second))
})

test('options that make no sense are refused with their kind', () => {
  assert.throws(() => new Monitor({ usage: 'guess' }), { code: 'InvalidInput' })
  assert.throws(() => new Monitor({ counters: ['no_such_counter'] }), { code: 'NotFound' })
  assert.throws(() => new Monitor({ rapl: ['guess'] }), { code: 'InvalidInput' })
  assert.throws(() => new Monitor({ retention: -1 }), { code: 'InvalidInput' })
})

test('doctor tells of every part whether it works', async () => {
  const found = await doctor()
  assert.equal(found.machine.cores, availableParallelism())
  for (const note of found.notes) {
    assert.ok(note.active || note.why)
    assert.ok(found.report.includes(note.part))
  }
  assert.deepEqual(doctorSync().machine, found.machine)
})
