// Compiled by tsc, never run: the declarations say what the tests use.
import {
  type Block,
  type Diagnosis,
  doctor,
  EnergyMeter,
  type MeasuredBlock,
  type Measurement,
  ModelRegistry,
  Monitor,
  measure,
  measureCommand,
  measureSync,
  PowerModel,
  type Predictions,
  type Snapshot,
  train,
  version,
} from '../index.js'

export async function everything(): Promise<void> {
  const text: string = version()
  const meter = new EnergyMeter({ fake: true, rapl: ['rapl-perf'] })
  const block: MeasuredBlock<string> = await measure(async () => text, { meter, scope: 'thread' })
  const value: string = block.value
  const joules: number | undefined = measureSync(() => value.length).joules
  const command: Measurement = await measureCommand(['true'], { meter, signal: AbortSignal.timeout(1000) })
  void meter.measureCommand(['true'], { signal: AbortSignal.timeout(1000) })
  const begun: Block = (await meter.open()).begin({ scope: 'thread' })
  void begun.end().zones.package?.provenance.source
  const found: Diagnosis = await doctor({ root: '/' })
  const monitor: Monitor = new Monitor({ usage: 'procfs', counters: ['page_cache_hits'], retention: 60 }).openSync()
  for await (const snapshot of monitor.stream({ intervalMs: 100, signal: AbortSignal.timeout(1000) })) {
    const one: Snapshot = snapshot
    const watts: number | undefined = one.processes[0]?.watts.package
    void watts
  }
  const model: PowerModel = await PowerModel.load('model.json')
  const predictions: Predictions = model.predictSync({ cpu_cycles: [1], bpf_cpu_time_ms: new Float64Array(1) })
  const of32Bits: Predictions = model.predictSync({ cpu_cycles: Float32Array.of(1), bpf_cpu_time_ms: [1] as const })
  const source: string | undefined = model.energySource
  void [of32Bits, source, model.toJSON()]
  void [monitor.namePods(new Uint8Array(2)), PowerModel.fromJson('{}')]
  // @ts-expect-error null is no number
  void model.predict({ cpu_cycles: [null] })
  // @ts-expect-error an option that is none
  void new Monitor({ usagee: 'procfs' })
  const registry = await ModelRegistry.open('models')
  const chosen = await registry.select({
    source: 'acpi',
    outputType: 'AbsPower',
    features: model.features,
    machine: found.machine,
  })
  const trained: PowerModel = await train(
    { features: { cpu_cycles: [1, 2] }, targets: { package: [3, 4] } },
    { folds: 2, onProgress: (done: number, stage: string) => void [done, stage] },
  )
  void trained
  // @ts-expect-error a scope is one of two words
  measureSync(() => 0, { scope: 'galaxy' })
  void [
    joules,
    command.zones.package?.nodeJoules,
    predictions.watts.package?.[0],
    chosen?.path,
    registry.entries[0]?.maeWatts,
    await model.toJson(),
  ]
}
