/** What a block used, and what it returned. */
export interface MeasuredBlock<T> extends Measurement {
  value: T
}

/** Whose CPU time a block is charged with, and the meter to read: one for the whole process by default. */
export interface MeasureOptions extends ScopeOptions {
  meter?: EnergyMeter
}

/** Measures a block of code that may wait. What it throws is thrown. */
export declare function measure<T>(block: () => T | PromiseLike<T>, options?: MeasureOptions): Promise<MeasuredBlock<T>>

/** Measures a block of code that does not wait. */
export declare function measureSync<T>(block: () => T, options?: MeasureOptions): MeasuredBlock<T>

/** Runs a command to its end and tells what it and its children used. */
export declare function measureCommand(command: string[], options?: { meter?: EnergyMeter }): Promise<Measurement>

/** How often a stream samples, and what ends it. */
export interface StreamOptions {
  /** Milliseconds between samples; 1000 by default. */
  intervalMs?: number
  /** Ends the stream. */
  signal?: AbortSignal
}

export interface Monitor {
  /** Samples again and again, until the loop is left or the signal is given. */
  stream(options?: StreamOptions): AsyncGenerator<Snapshot, void, void>
}

/** How a model is trained and judged, who is told, and what stops it. */
export interface TrainOptions extends TrainingOptions {
  /** Called with the share that is done, from 0 to 1, and what is being done. */
  onProgress?: (done: number, stage: string) => void
  /** Stops the training, which then rejects with the code `Cancelled`. */
  signal?: AbortSignal
}

/** Trains a power model on measured rows or on a CSV file. Its errors and intervals come from cross-validation. */
export declare function train(data: string | TrainingRows, options?: TrainOptions): Promise<PowerModel>
