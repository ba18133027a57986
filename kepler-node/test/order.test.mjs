// Blocks of several worker threads at once, begun and ended in any order, nested or overlapping. KEPLER_SEED plays other orders,
// and again the one of a failure.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { EnergyMeter } from '../index.mjs'

const THREADS = 4
const seeds = [0, 1, 2].map((n) => Number(process.env.KEPLER_SEED ?? 1) + n)

for (const seed of isMainThread ? seeds : []) {
  test(`blocks in any order on many threads are each exact, seed ${seed}`, async () => {
    const play = async (number) => {
      const worker = new Worker(fileURLToPath(import.meta.url), { workerData: seed * 100 + number })
      const [told] = await once(worker, 'message')
      await worker.terminate()
      return told
    }
    for (const { blocks, wrong } of await Promise.all(Array.from({ length: THREADS }, (_, number) => play(number)))) {
      assert.deepEqual(wrong, [])
      assert.ok(blocks > 50, `${blocks}`)
    }
  })
}

/** Numbers from 0 to 1 that a seed makes. */
function numbers(seed) {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

function play(seed) {
  const random = numbers(seed)
  const meter = new EnergyMeter({ fake: true }).openSync()
  // a block that lasts all the while is a clock of this thread's CPU time
  const all = meter.begin({ scope: 'thread' })
  const clocks = {
    thread: () => all.end().cpuSeconds,
    process: () => Object.values(process.cpuUsage()).reduce((a, b) => a + b) / 1e6,
  }
  const [open, wrong] = [[], []]
  let blocks = 0
  const look = (scope) => ({ cpu: clocks[scope](), wall: performance.now() / 1e3 })
  const begin = () => {
    const scope = random() < 0.5 ? 'thread' : 'process'
    const before = look(scope)
    const block = meter.begin({ scope })
    open.push({ scope, before, block, after: look(scope) })
  }
  const end = ({ scope, before, block, after }) => {
    blocks++
    const last = look(scope)
    const used = block.end()
    const later = look(scope)
    const holds = (least, figure, most, slack) => {
      if (!(least - slack <= figure && figure <= most + slack)) wrong.push({ seed, scope, least, figure, most })
    }
    const wall = [last.wall - after.wall, later.wall - before.wall]
    holds(wall[0], used.seconds, wall[1], 1e-6)
    // the kernel adds the time of threads that run elsewhere to the clock of the process by ticks
    const slack = scope === 'thread' ? 1e-9 : 0.01 * Math.min(THREADS, availableParallelism())
    holds(last.cpu - after.cpu, used.cpuSeconds, later.cpu - before.cpu, slack)
    // 24 W, package and memory, all the time
    holds(24 * wall[0], used.nodeJoules, 24 * wall[1], 1e-4)
  }
  for (let step = 0; step < 300; step++) {
    const dice = random()
    if (dice < 0.5) begin()
    else if (dice < 0.8 && open.length > 0) end(...open.splice(Math.floor(random() * open.length), 1))
    else for (let i = random() * 1e5; i > 0; i--);
  }
  for (const one of open) end(one)
  return { blocks, wrong }
}

if (!isMainThread) parentPort.postMessage(play(workerData))
