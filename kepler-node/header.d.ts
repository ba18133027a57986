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
