// kepler-core/tests/cases.json: what the library does on machines made of files, the same list as in Rust and Python.
import assert from 'node:assert/strict'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { doctor, EnergyMeter, Monitor, measure, PowerModel } from '../index.mjs'
import { sleep } from './host.mjs'

const tests = fileURLToPath(new URL('../../kepler-core/tests', import.meta.url))
const cases = JSON.parse(readFileSync(join(tests, 'cases.json'), 'utf8'))
const members = (of) => Object.entries(of ?? {})

/** A copy of a fixture host, whose files change as the steps say. */
class Machine {
  constructor(t, { host }) {
    this.root = mkdtempSync(join(tmpdir(), 'kepler-'))
    t.after(() => rmSync(this.root, { recursive: true }))
    cpSync(join(tests, 'hosts', host), this.root, { recursive: true })
    this.write(cases.files)
  }

  write(files) {
    for (const [path, text] of members(files)) {
      mkdirSync(dirname(join(this.root, path)), { recursive: true })
      writeFileSync(join(this.root, path), `${text}\n`)
    }
  }

  remove(paths = []) {
    for (const path of paths) rmSync(join(this.root, path), { recursive: true })
  }
}

const same = (found, wanted) => assert.ok(Math.abs(found - wanted) <= 1e-9, `${found} is not ${wanted}`)
const sum = (figures) => figures.reduce((a, b) => a + b, 0)

for (const host of cases.hosts) {
  test(host.name, async (t) => {
    const machine = new Machine(t, host)
    // opened before anything changes
    const monitor = await new Monitor({ root: machine.root, usage: 'procfs' }).open()
    const meter = await new EnergyMeter({ root: machine.root }).open()
    for (const step of host.steps) {
      machine.write(step.write)
      machine.remove(step.remove)
      if (step.sample) checkSample(await monitor.sample(), step.sample)
      if (step.measure) await checkMeasure(meter, machine, step.measure)
    }
  })
}

function checkSample(found, wanted) {
  assert.equal(found.sequence, wanted.sequence)
  assert.equal(found.complaints.length, wanted.complaints, `${found.complaints}`)
  const zones = new Map(found.node.zones.map((zone) => [zone.name, zone.joules]))
  for (const [name, joules] of members(wanted.zones)) same(zones.get(name), joules)
  for (const [name, domain] of members(found.node.domains)) {
    same(domain.joules, wanted.domains[name])
    const charged = sum([...found.processes, ...found.ended].map((row) => row.joules[name]))
    same(charged + sum(Object.values(domain.residual)), domain.activeJoules)
    if ('watts' in wanted) assert.equal(domain.watts !== undefined, wanted.watts)
    checkProvenance(domain.provenance, wanted)
  }
  const process = (pid) => found.processes.find((one) => one.pid === Number(pid))
  for (const [pid, seconds] of members(wanted.cpu_seconds)) same(process(pid).cpuSeconds, seconds)
  for (const [id, seconds] of members(wanted.containers)) {
    same(found.containers.find((container) => container.id === id).cpuSeconds, seconds)
  }
  if (wanted.share) {
    const { of, to, ratio } = wanted.share
    same(process(of).joules.package / process(to).joules.package, ratio)
  }
}

async function checkMeasure(meter, machine, { error, during, pid, cgroup, ...wanted }) {
  const clock = () => performance.now() / 1e3
  const clocks = [clock()]
  const work = async () => {
    clocks.push(clock())
    machine.write(during)
    await sleep(2)
    clocks.push(clock())
  }
  const scope = pid ? { pid } : cgroup ? { cgroup } : {}
  if (error) return assert.rejects(measure(work, { meter, ...scope }), { code: error })
  const m = await measure(work, { meter, ...scope })
  clocks.push(clock())
  for (const [name, joules] of members(wanted.zones)) same(m.zones[name].nodeJoules, joules)
  if ('node_joules' in wanted) same(m.nodeJoules, wanted.node_joules)
  if ('cpu_seconds' in wanted) same(m.cpuSeconds, wanted.cpu_seconds)
  // energy x the block's part of the time of two CPUs; that time lies between the two that were taken here
  const part = (time) => Math.min(m.cpuSeconds / (2 * time), 1)
  const [low, high] = [clocks[3] - clocks[0], clocks[2] - clocks[1]].map((time) => m.nodeJoules * part(time))
  assert.ok(low <= m.joules && m.joules <= high, `${low} ${m.joules} ${high}`)
  checkProvenance(m.provenance, wanted)
}

function checkProvenance(found, wanted) {
  for (const field of ['origin', 'source']) assert.equal(found[field], wanted[field] ?? found[field])
}

for (const { host, measured, machine } of cases.doctor) {
  test(`doctor tells what ${host} has`, async (t) => {
    const found = await doctor({ root: new Machine(t, { host }).root })
    assert.equal(found.measured, measured)
    for (const [field, value] of members(machine)) assert.equal(found.machine[field], value)
  })
}

for (const { options, error } of cases.options) {
  test(`${JSON.stringify(options)} is ${error}`, () => {
    assert.throws(() => new Monitor(options), { code: error })
  })
}

for (const { file, rows, watts, in_range, error } of cases.models) {
  test(`a model predicts ${error ? `no watts: ${error}` : 'the watts of the list'}`, async () => {
    const predict = async () => (await PowerModel.fromJson(JSON.stringify(file))).predict(rows)
    if (error) return assert.rejects(predict(), { code: error })
    const found = await predict()
    for (const [component, values] of members(watts)) {
      for (const [row, value] of values.entries()) same(found.watts[component][row], value)
    }
    assert.deepEqual([...found.inRange], in_range)
  })
}
