// A machine made of files, whose meter stands where the test puts it.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

export class FakeHost {
  constructor(t) {
    this.root = mkdtempSync(join(tmpdir(), 'kepler-'))
    t.after(() => rmSync(this.root, { recursive: true }))
    this.write(
      'proc/stat',
      'cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 50 0 50 400 0 0 0 0 0 0\ncpu1 50 0 50 400 0 0 0 0 0 0\n',
    )
    this.write(
      'proc/cpuinfo',
      'processor\t: 0\nvendor_id\t: GenuineIntel\n\nprocessor\t: 1\nvendor_id\t: GenuineIntel\n',
    )
    this.write('proc/meminfo', 'MemTotal:        8000000 kB\n')
    this.write('proc/1/stat', `1 (init) S 0 ${' 0'.repeat(48)}\n`)
    for (const [zone, name] of [
      ['intel-rapl:0', 'package-0'],
      ['intel-rapl:0:0', 'dram'],
    ]) {
      this.write(`sys/class/powercap/${zone}/name`, `${name}\n`)
      this.write(`sys/class/powercap/${zone}/max_energy_range_uj`, '262143328850\n')
    }
    this.meter(1_000_000, 1_000_000)
  }

  write(path, text) {
    const file = join(this.root, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
  }

  /** Sets the counters, in microjoules. */
  meter(packageUj, dramUj) {
    this.write('sys/class/powercap/intel-rapl:0/energy_uj', `${packageUj}\n`)
    this.write('sys/class/powercap/intel-rapl:0:0/energy_uj', `${dramUj}\n`)
  }
}

/** Uses that much CPU time. */
export function burn(seconds) {
  const used = () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  }
  const end = used() + seconds
  while (used() < end);
}

export const close = (actual, expected, relative) =>
  Math.abs(actual - expected) <= relative * Math.max(Math.abs(actual), Math.abs(expected))

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
