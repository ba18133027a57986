/** A number a row. What is no number is refused, by its name and row. */
export type Numbers = readonly number[] | Float64Array | Float32Array

/** One array a feature by its name, or the rows one after another in the order of the model's features. */
export type Rows = Record<string, Numbers> | Float64Array | Float32Array

/** Whose CPU time a block is charged with. */
export interface ScopeOptions {
  /**
   * `process`, the default: all threads of this process, and its children that ended in the block. `thread`: the thread of this
   * event loop alone.
   */
  scope?: 'process' | 'thread'
  /** Another process. */
  pid?: number
  /** Everything in a cgroup, by its path. */
  cgroup?: string
}

/** A block of code that is being measured. */
export interface Block {
  /** What was used since the block began. May be asked again. */
  end(): Measurement
}

export interface EnergyMeter {
  /** Opens the meters, where they are not open yet. Returns itself. */
  open(): Promise<this>
  /** As `open`, while the event loop waits. */
  openSync(): this
  /** Begins a block, of meters that are open; `end()` of what it returns tells what was used since. */
  begin(options?: ScopeOptions): Block
}

/** What a block used, and what it returned. */
export interface MeasuredBlock<T> extends Measurement {
  value: T
}

/** Whose CPU time a block is charged with, and the meter to read: one for the whole process by default. */
export interface MeasureOptions extends ScopeOptions {
  meter?: EnergyMeter
}

/**
 * Measures a block of code that may wait. What it throws is thrown as it stands, without figures; where those are wanted too,
 * `end()` of a block that `EnergyMeter.begin` began tells them, such as in `finally`.
 */
export declare function measure<T>(block: () => T | PromiseLike<T>, options?: MeasureOptions): Promise<MeasuredBlock<T>>

/** Measures a block of code that does not wait. One that returns a promise is refused. */
export declare function measureSync<T>(block: () => T, options?: MeasureOptions): MeasuredBlock<T>

/** What ends a command. */
export interface CommandOptions {
  /**
   * Sends the command SIGTERM, and SIGKILL where it stays for five seconds. What it used until then is told, with a `returncode`
   * of -15 or -9; one that has not started rejects with the code `Cancelled`.
   */
  signal?: AbortSignal
}

/** Runs a command to its end and tells what it and its children used. */
export declare function measureCommand(
  command: string[],
  options?: CommandOptions & { meter?: EnergyMeter },
): Promise<Measurement>

/** How often a stream samples, and what ends it. */
export interface StreamOptions {
  /** Milliseconds between samples, from 1 to 2147483647; 1000 by default. */
  intervalMs?: number
  /** Ends the stream. */
  signal?: AbortSignal
}

export interface Monitor {
  /** Opens the sources, where they are not open yet. Returns itself. */
  open(): Promise<this>
  /** As `open`, while the event loop waits. */
  openSync(): this
  /** Samples again and again, until the loop is left or the signal is given. */
  stream(options?: StreamOptions): AsyncGenerator<Snapshot, void, void>
}

/** How a model is trained and judged, who is told, and what stops it. */
export interface TrainOptions extends TrainingOptions {
  /**
   * Called with the share that is done, from 0 to 1, and what is being done; for the last time before the promise settles. What
   * it throws stops the training, which then rejects with that.
   */
  onProgress?: (done: number, stage: string) => void
  /** Stops the training, which then rejects with the code `Cancelled`. */
  signal?: AbortSignal
}

/** Trains a power model on measured rows or on a CSV file. Its errors and intervals come from cross-validation. */
export declare function train(data: string | TrainingRows, options?: TrainOptions): Promise<PowerModel>

/** What the rows of a snapshot's lists have in common. Figures are since it was first seen, watts of the last interval. */
export interface Workload {
  /** `running` or `terminated`. */
  readonly state: 'running' | 'terminated'
  /** CPU time. */
  readonly cpuSeconds: number
  /** Active energy by domain. */
  readonly joules: Record<string, number>
  /** Its equal share of the machine's idle energy, by domain; of a container or machine, its processes' shares. */
  readonly idleJoules: Record<string, number>
  /** Active power by domain; a domain that could not be read is absent. */
  readonly watts: Record<string, number>
  /** Events; a counter that is not collected is absent. */
  readonly counters: Record<string, number>
  /** A copy as a plain object: a record looks its fields up when they are asked for, and has none to spread. */
  toJSON(): Record<string, unknown>
}

/** One process. */
export interface Process extends Workload {
  /** The process id. */
  readonly pid: number
  /** Start time in seconds since boot. */
  readonly startSeconds: number
  /** The main thread's name, at most 15 bytes. */
  readonly comm: string
  /** The executable's path; absent for kernel threads and where it may not be read. */
  readonly exe?: string
  /** The command line. */
  readonly command?: string
  /** The cgroup's path; absent when unknown. */
  readonly cgroup?: string
  /** The id of its container. */
  readonly container?: string
  /** The uid of its pod. */
  readonly pod?: string
  /** The id of the virtual machine that it is. */
  readonly vm?: string
  /** Its systemd unit. */
  readonly unit?: string
}

/** One container, the processes that ended included. */
export interface Container extends Workload {
  /** The id, 64 hexadecimal digits with the known runtimes. */
  readonly id: string
  /** What brought it up: docker, containerd, crio, podman or kubernetes. */
  readonly runtime: string
  /** The uid of its pod. */
  readonly podUid?: string
  /** Its name, where something told it. */
  readonly name?: string
}

/** One pod: its containers, those that were restarted or ended included, and its processes outside of them. */
export interface Pod extends Workload {
  /** Its uid. */
  readonly uid: string
  /** Its name, where a pod list told it. */
  readonly name?: string
  /** Its namespace, where a pod list told it. */
  readonly namespace?: string
}

/** One virtual machine. */
export interface VirtualMachine extends Workload {
  /** Its uuid, else its name. */
  readonly id: string
  /** Its name; the id where it has none. */
  readonly name: string
  /** The hypervisor. */
  readonly hypervisor: string
}

/** Ended processes without an entry of their own, together by container and name. */
export interface Ended extends Omit<Workload, 'state' | 'watts'> {
  /** The id of the container they ran in. */
  readonly container?: string
  /** Their name. */
  readonly comm: string
  /** How many. */
  readonly count: number
}

export interface Snapshot {
  /** Processes that live, and the largest of those that ended within the retention. */
  readonly processes: Process[]
  /** Containers that live, and those that ended within the retention. */
  readonly containers: Container[]
  /** Pods that live, and those that ended within the retention. */
  readonly pods: Pod[]
  /** Virtual machines that live, and those that ended within the retention. */
  readonly vms: VirtualMachine[]
  /** Ended processes without an entry of their own. */
  readonly ended: Ended[]
  /** All of it, as plain objects and records. */
  toJSON(): Record<string, unknown>
}

/** One model of a registry, as its metadata describes it. */
export interface ModelEntry {
  /** Where it lies in its pipeline. */
  readonly path: string
  /** Its name, such as `SGDRegressorTrainer_1`. */
  readonly name: string
  /** The algorithm that trained it. */
  readonly trainer: string
  /** The machine type that it is of. */
  readonly nodeType?: number
  /** The meter that its training power came from. */
  readonly source: string
  /** `AbsPower` or `DynPower`. */
  readonly outputType: string
  /** The feature group that it lies in. */
  readonly group: string
  /** Its features, in column order. */
  readonly features: string[]
  /** The published mean absolute error in watts: that of its worst component. */
  readonly maeWatts?: number
  /** A copy as a plain object. */
  toJSON(): Record<string, unknown>
}

export interface PowerModel {
  /**
   * The model in the own format, as an object, while the event loop waits: what `JSON.stringify` gives can be read by `fromJson`.
   */
  toJSON(): Record<string, unknown>
}

export interface ModelRegistry {
  /** All models, by pipeline and path. */
  readonly entries: ModelEntry[]
}

/**
 * Measures blocks of code, processes, cgroups and commands. Blocks may overlap and nest.
 *
 * The meters are opened by `open`, or when something is first measured.
 */
export declare class EnergyMeter {
  /** The meters of this machine, or the power model where it has none. Options that make no sense are refused here. */
  constructor(options?: MeterOptions | undefined | null)
  /** Every meter that was tried: which are read, and why others are not. Known once they are open. */
  get notes(): Array<Note>
  /** Runs a command to its end and tells what it and its children used. Input and output are this process's own. */
  measureCommand(command: string[], options?: CommandOptions): Promise<Measurement>
  /** As `measureCommand`, while the event loop waits. */
  measureCommandSync(command: Array<string>): Measurement
}

/** A folder or zip of the public model database, indexed once; models are read when they are first used. */
export declare class ModelRegistry {
  /** Indexes a pipeline, or a folder of several. */
  static open(path: string): Promise<ModelRegistry>
  /** As `open`, while the event loop waits. */
  static openSync(path: string): ModelRegistry
  /** How many models there are. */
  get length(): number
  /** Reads the model at an entry's path. */
  model(path: string): Promise<PowerModel>
  /** Chooses the best model for what is at hand; undefined when none fits. */
  select(options: SelectOptions): Promise<Selection | undefined>
}

/**
 * Watches one machine: each sample tells what everything on it used since the sample before.
 *
 * Works without privileges and without a meter; `sources` says what is used and why. Several monitors can watch at once.
 * Its sources are opened by `open`, or by the first sample.
 */
export declare class Monitor {
  /** Options that make no sense are refused here, sources that do not work when they are opened. */
  constructor(options?: MonitorOptions | undefined | null)
  /** Takes a sample. The first one is the baseline: nothing is booked from before it. */
  sample(): Promise<Snapshot>
  /** As `sample`, while the event loop waits. */
  sampleSync(): Snapshot
  /** Which sources are in use, and why not others. Known once they are open. */
  get sources(): Sources
  /**
   * Tells who the pods on this machine are, by a pod list as JSON: what the kubelet answers at `/pods`, or the API server at
   * `/api/v1/pods`. The next sample names them and their containers. Returns how many pods it names.
   */
  namePods(podList: string | Uint8Array): Promise<number>
  /** As `namePods`, while the event loop waits. */
  namePodsSync(podList: string | Uint8Array): number
  /** Measures blocks of code and commands with this monitor's meters, apart from its samples. */
  get meter(): EnergyMeter
}

/** A power model, ready to predict. */
export declare class PowerModel {
  /** Reads a model: a file of the own format, or a file, folder or zip of the public model database. */
  static load(path: string): Promise<PowerModel>
  /** As `load`, while the event loop waits. */
  static loadSync(path: string): PowerModel
  /** Reads a model of the own format (`kepler-model/1`) from memory. */
  static fromJson(text: string | Uint8Array): Promise<PowerModel>
  /** As `fromJson`, while the event loop waits. */
  static fromJsonSync(text: string | Uint8Array): PowerModel
  /** The model in the own format; reading it gives the same model, to the last bit. */
  toJson(): Promise<string>
  /** As `toJson`, while the event loop waits. */
  toJsonSync(): string
  /** The model's name. */
  get name(): string
  /** The features' names, in column order. */
  get features(): Array<string>
  /** The parts of the machine whose power is predicted: package, core, uncore, dram, platform. */
  get components(): Array<string>
  /** `AbsPower` for the power of a whole node, `DynPower` for power above idle. */
  get outputType(): 'AbsPower' | 'DynPower'
  /** The meter whose power the model was trained on; absent where it is unknown. */
  get energySource(): string | undefined
  /** Predicts watts from rows one after another in the order of `features`, or from one array a feature by name. */
  predict(rows: Rows): Promise<Predictions>
  /** As `predict`, while the event loop waits. */
  predictSync(rows: Rows): Predictions
  /** Predicts watts with the range that holds the true ones with a stated chance, by component. */
  predictWithInterval(rows: Rows): Promise<Record<string, Interval>>
  /** The model card. */
  toString(): string
}

/** All that one sample knows. */
export declare class Snapshot {
  /** Counts the samples of one monitor from 1. */
  get sequence(): number
  /** When it was taken, in seconds since 1970. */
  get time(): number
  /** Seconds since the sample before; absent on the first. */
  get interval(): number | undefined
  /** The machine. */
  get node(): Node
  /** What could not be had in the last interval, a line each; empty when all was. */
  get complaints(): Array<string>
  /** How energy is split into active and idle: `usage-ratio` or `fitted`. */
  get idleSplit(): string
  /** How idle energy is handed to workloads: `none`, `equal` or `usage`. */
  get idleShare(): string
  /** Which sources are in use. */
  get sources(): Sources
  /** What taking the sample cost. */
  get cost(): SampleCost
  /** Tasks seen, exit records received and lost, and steps refused, since the monitor started. */
  get stats(): Record<string, number>
}

/** What `doctor` found. */
export interface Diagnosis {
  /** What kind of machine it is. */
  machine: MachineSpec
  /** Every source of energy and usage, the ones that are opt-in included. */
  notes: Array<Note>
  /** Whether energy is measured here; if not, it is modeled. */
  measured: boolean
  /** The same as text for people, a line a part. */
  report: string
}

/** Tells which sources work on a machine, which do not, why, and the one thing that would change it. */
export declare function doctor(options?: MeterOptions | undefined | null): Promise<Diagnosis>

/** As `doctor`, while the event loop waits. */
export declare function doctorSync(options?: MeterOptions | undefined | null): Diagnosis

/** All zones of one domain. Domains overlap: they are not to be added up. */
export interface DomainEnergy {
  /** All energy since the monitor started. */
  joules: number
  /** What the work cost. */
  activeJoules: number
  /** What it would have cost without work. */
  idleJoules: number
  /** Mean power of the last interval; absent when no zone could be read. */
  watts?: number
  /** Mean power of the work. */
  activeWatts?: number
  /** Mean power without the work. */
  idleWatts?: number
  /** Active joules that no process was charged with, by cause. */
  residual: Record<string, number>
  /** Idle joules that no process carries. */
  idleResidual: number
  /** Where the figures come from. */
  provenance: Provenance
}

/** Predicted watts of one component, and the range that holds the true ones with a stated chance; a value a row. */
export interface Interval {
  /** The prediction. */
  watts: Float64Array
  /** The lower end; absent where nothing is known of the model's error. */
  low?: Float64Array
  /** The upper end. */
  high?: Float64Array
  /** The chance, such as 0.9. */
  level?: number
}

/** What kind of machine it is. What a machine does not tell is absent. */
export interface MachineSpec {
  /** Vendor, lower case, such as `intel` or `amd`. */
  vendor?: string
  /** Processor in the model database's spelling, such as `intel_xeon_platinum_8275cl`. */
  processor?: string
  /** Logical CPUs. */
  cores?: number
  /** Sockets. */
  chips?: number
  /** Memory in GiB. */
  memory?: number
  /** Highest frequency in MHz, rounded to 100. */
  frequency?: number
  /** Hardware threads a physical core. */
  threadsPerCore?: number
  /** Whether it is a guest of a hypervisor. */
  guest?: boolean
}

/** What one domain used during a block. */
export interface MeasuredZone {
  /** Active energy of the block. */
  joules: number
  /** All the machine used in the domain, idle included. */
  nodeJoules: number
  /** Where the figures come from. */
  provenance: Provenance
}

/** What a block used. */
export interface Measurement {
  /**
   * Active energy of the block in joules: package and memory where they are known, else the platform. Absent where
   * nothing could be read.
   */
  joules?: number
  /** The lowest and highest joules that fit the readings, for a block too short for the meter's step. */
  interval?: [number, number]
  /** All the machine used meanwhile in joules, idle included. */
  nodeJoules?: number
  /** Mean active power of the block. */
  watts?: number
  /** Wall time of the block. */
  seconds: number
  /** CPU time of the block. */
  cpuSeconds: number
  /** Each domain apart. Domains overlap: they are not to be added up. */
  zones: Record<string, MeasuredZone>
  /** Where `joules` comes from; absent where nothing could be read. */
  provenance?: Provenance
  /** The exit status of a measured command, or minus the signal that ended it; absent for a block of code. */
  returncode?: number
}

/** Which meters are read, and where a machine's files are. */
export interface MeterOptions {
  /** A folder that stands for `/`, in containers and tests. */
  root?: string
  /** A folder that stands for `/proc`. */
  proc?: string
  /** A folder that stands for `/sys`. */
  sys?: string
  /** A scripted meter of constant power, for tests and demonstrations. */
  fake?: boolean
  /**
   * The ways to RAPL to try, in order, the first that works is used: `rapl-powercap` (alone by default), `rapl-perf`,
   * `rapl-msr`.
   */
  rapl?: Array<string>
  /** Whether to look for power and energy sensors of the platform; on by default. */
  hwmon?: boolean
}

/** What a monitor watches and with what. */
export interface MonitorOptions {
  /** A folder that stands for `/`, in containers and tests. */
  root?: string
  /** A folder that stands for `/proc`. */
  proc?: string
  /** A folder that stands for `/sys`. */
  sys?: string
  /** A scripted meter of constant power, for tests and demonstrations. */
  fake?: boolean
  /** The ways to RAPL to try, in order: `rapl-powercap` (alone by default), `rapl-perf`, `rapl-msr`. */
  rapl?: Array<string>
  /** Whether to look for power and energy sensors of the platform; on by default. */
  hwmon?: boolean
  /** Where CPU time comes from: `ebpf` (exact), `procfs` (needs no privilege), or `auto`. */
  usage?: 'auto' | 'ebpf' | 'procfs'
  /** Counts wanted beyond CPU time, such as `page_cache_hits`. Their kernel hooks attach only then. */
  counters?: Array<string>
  /**
   * How energy is split into active and idle: by the busy share of the CPU time (`usage-ratio`, the default), or by the
   * power without work that is `fitted` to power and load.
   */
  idle?: 'usage-ratio' | 'fitted'
  /** How idle energy is handed to workloads: not at all (`none`, the default), `equal` to each, or by `usage`. */
  idleShare?: 'none' | 'equal' | 'usage'
  /** Seconds that ended workloads keep their totals; 600 by default. */
  retention?: number
  /** How many ended processes keep an entry of their own, the largest first; 500 by default. */
  endedLimit?: number
}

/** The machine. */
export interface Node {
  /** Every zone, apart. */
  zones: Array<Zone>
  /** Zones put together by domain. */
  domains: Record<string, DomainEnergy>
  /** Online CPUs. */
  cpus: number
  /** Busy share of the CPU time in the last interval, 0 to 1; absent on the first sample. */
  busyRatio?: number
  /** Busy CPU time since the monitor started. */
  busySeconds: number
  /** Busy time of the last interval that nothing accounts for, as a share of busy time. */
  unexplainedRatio?: number
  /** Events since the monitor started. */
  counters: Record<string, number>
}

/** Whether one part of a source works here. */
export interface Note {
  /** The part, such as `softirq_entry`. */
  part: string
  /** Whether it is in use. */
  active: boolean
  /** Why not, or how; may be empty. */
  why: string
  /** The one thing that would change it; may be empty. */
  hint: string
}

/** Watts by component, one value a row. */
export interface Predictions {
  /** Watts by component; never negative. */
  watts: Record<string, Float64Array>
  /** For each row, 1 where all its features lie in the range of the training data, else 0. */
  inRange: Uint8Array
}

/** Where a figure comes from and how sure it is. */
export interface Provenance {
  /** `measured` or `modeled`. */
  origin: 'measured' | 'modeled'
  /** The energy source, such as `rapl-powercap`, `hwmon` or `modeled`. */
  source: string
  /** The model's name, for modeled figures. */
  model?: string
  /** The model's mean absolute error in watts at this machine's size, where it was measured. */
  maeWatts?: number
  /** Whether the model's inputs lie in the range that it was trained on. */
  inRange?: boolean
  /** What else a reader must know; may be empty. */
  note: string
}

/** What a sample cost. */
export interface SampleCost {
  /** Wall time. */
  wallSeconds: number
  /** CPU time. */
  cpuSeconds: number
}

/** A chosen model; read it with `registry.model(selection.path)`. */
export interface Selection {
  /** Where it lies in the registry. */
  path: string
  /** Its mean absolute error in watts, as the choice weighed it. */
  maeWatts: number
  /** How far its machine is from the one that was asked for: 0 is the same. */
  looseness: number
}

/** What a model is wanted for. */
export interface SelectOptions {
  /** The meter whose power is to be predicted, such as `rapl-sysfs` or `acpi`. */
  source: string
  /** `AbsPower` for a whole node, `DynPower` for power above idle. */
  outputType: 'AbsPower' | 'DynPower'
  /** What can be measured. */
  features: Array<string>
  /** The machine that the model is for, as `doctor` tells it. */
  machine?: MachineSpec
  /** The same by its number in the pipeline's index. */
  nodeType?: number
  /** Part of the algorithm's name. */
  trainer?: string
  /** What else the model must fulfil, such as `mae:5;features:cpu_cycles`. */
  filter?: string
  /** Whether another machine type will do; on by default. */
  loose?: boolean
  /** `best`, or `compatible` for what the older model server would choose. */
  policy?: 'best' | 'compatible'
}

/** Which sources are in use, and why not others. */
export interface Sources {
  /** Names of the energy sources in use. */
  energy: Array<string>
  /** Name of the usage source in use: `ebpf` or `procfs`. */
  usage: string
  /** Every part that was tried. */
  notes: Array<Note>
  /** The same as text for people, a line a part. */
  report: string
}

/** How a model is trained and judged. */
export interface TrainingOptions {
  /** `EnsembleTrainer`, the default, or one of the public model database such as `GradientBoostingRegressorTrainer`. */
  trainer?: string
  /** The columns of a file to learn from; by default every other one that does not tell power or energy. */
  features?: Array<string>
  /** The model's name. */
  name?: string
  /** `AbsPower`, the default, or `DynPower`. */
  outputType?: 'AbsPower' | 'DynPower'
  /** The meter that measured the power. */
  energySource?: string
  /** Where the rows come from. */
  source?: string
  /** How rows are held out to measure the error; by default what the rows allow. An empty list measures none. */
  splits?: Array<'shuffled-part' | 'shuffled-folds' | 'blocked-folds' | 'machine-out'>
  /** How many folds; 10 by default. */
  folds?: number
  /** The seed of whatever is random. The same seed gives the same model. */
  seed?: number
}

/** Measured rows: one array a feature, and one of watts a component. */
export interface TrainingRows {
  /** Values by feature; counted things per second. */
  features: Record<string, Numbers>
  /** Measured watts by component: package, core, uncore, dram, platform. */
  targets: Record<string, Numbers>
  /** When each row was measured, in seconds; rows are then held out in blocks of time. */
  times?: Numbers
  /** The number of each row's machine; rows are then held out by whole machines. */
  machines?: Numbers | Uint32Array
}

/** The version of the package, the same as that of the Rust crates and the Python package. */
export declare function version(): string

/** One metered part of the machine. Joules are since the monitor started, watts of the last interval. */
export interface Zone {
  /** The name its meter gives it, such as `package-0`. */
  name: string
  /** What kind of part it is: psys, package, core, uncore, dram, platform or gpu. */
  domain: string
  /** The socket or device number, where the name tells one. */
  index?: number
  /** The die in the socket, where the name tells one. */
  die?: number
  /** Where the figure is read. */
  path: string
  /** All energy. */
  joules: number
  /** What the work cost. */
  activeJoules: number
  /** What it would have cost without work. */
  idleJoules: number
  /** Mean power; absent when the zone could not be read in the last interval. */
  watts?: number
  /** Mean power of the work. */
  activeWatts?: number
  /** Mean power without the work. */
  idleWatts?: number
  /** Intervals in which the meter could not be read. */
  failures: number
  /** Steps of the counter that were not believed. */
  refused: number
  /** Intervals in which the counter may have wrapped more than once. */
  ambiguous: number
  /** Where the figures come from. */
  provenance: Provenance
}
