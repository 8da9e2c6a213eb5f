// Every error the engine raises on purpose. Callers branch on the class or on `code`; messages follow
// `[op] what was expected, what came`. Native errors arrive here through compile.ts, never raw.

/** Base of every deliberate error. `code` is stable across versions; the message is for people. */
export class GramianError extends Error {
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** A tensor's shape or dtype does not fit the op. Raised while the graph is built. */
export class ShapeError extends GramianError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_SHAPE', message, options);
  }
}

/** An argument is out of its range or of the wrong type. */
export class ArgumentError extends GramianError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_ARGUMENT', message, options);
  }
}

/** The graph itself is malformed (dangling tensor, cycle, unknown op, duplicate name). */
export class GraphError extends GramianError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_GRAPH', message, options);
  }
}

/** A data file is malformed. Names file, place and reason. */
export class DataError extends GramianError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_DATA', message, options);
  }
}

/** A checkpoint or safetensors file is malformed, truncated or of another model. */
export class CheckpointError extends GramianError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_CHECKPOINT', message, options);
  }
}

/** A model or weights of another tool (TensorFlow.js, TFLite, ONNX, torchvision) are malformed or use what is not supported. */
export class InterchangeError extends GramianError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_INTERCHANGE', message, options);
  }
}

/** The device is missing, out of memory or failed. */
export class DeviceError extends GramianError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_DEVICE', message, options);
  }
}

/** A kernel met data it cannot work with at run time (a label or an index out of range). */
export class ExecutionError extends GramianError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_EXECUTION', message, options);
  }
}

/** Use after dispose. */
export class DisposedError extends GramianError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_DISPOSED', message, options);
  }
}

/** Training met a NaN or an infinity; names the unit. The weights are of no more use: go on from the last checkpoint. */
export class DivergedError extends GramianError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_DIVERGED', message, options);
  }
}

/** The caller's AbortSignal fired. `completedSteps` steps were finished; the model equals the last of them. */
export class AbortError extends GramianError {
  readonly completedSteps: number;
  constructor(message: string, completedSteps: number, options?: ErrorOptions) {
    super('ERR_ABORTED', message, options);
    this.completedSteps = completedSteps;
  }
}
