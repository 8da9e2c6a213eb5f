// Compares a file with what the engine computed, through ONNX Runtime (npm onnxruntime-node) where its user has installed it.
// Called by `gramian export`. The rule easy to break: nothing of Gramian needs the package; without it there is no comparison.
import { createRequire } from 'node:module';
import path from 'node:path';
import { InterchangeError } from '../../errors';

interface Session {
  run(feeds: Record<string, unknown>): Promise<Record<string, { readonly data: unknown }>>;
  release(): Promise<void>;
}

interface Runtime {
  readonly env: { readonly versions: Readonly<Record<string, string | undefined>> };
  readonly InferenceSession: { create(model: Uint8Array, options: object): Promise<Session> };
  readonly Tensor: new (type: 'float32', data: Float32Array, shape: readonly number[]) => unknown;
}

/** The package as the caller's folder or this package's sees it; undefined when it is not there. */
function runtime(): Runtime | undefined {
  for (const from of [path.join(process.cwd(), 'package.json'), __filename]) {
    try {
      return createRequire(from)('onnxruntime-node') as Runtime;
    } catch (error) {
      const { code } = error as { code?: string };
      if (code !== 'MODULE_NOT_FOUND') {
        throw new InterchangeError(`[onnx] onnxruntime-node does not load: ${(error as Error).message}`, {
          cause: error,
        });
      }
    }
  }
  return undefined;
}

export interface Comparison {
  readonly version: string;
  /** Largest distance between a value of ours and ONNX Runtime's. */
  readonly difference: number;
}

/**
 * Runs a file of one input on ONNX Runtime and compares one output; undefined without the package. Rejects with
 * InterchangeError when ONNX Runtime refuses the file.
 */
export async function compareWithRuntime(
  model: Uint8Array,
  input: { readonly name: string; readonly data: Float32Array; readonly shape: readonly number[] },
  output: { readonly name: string; readonly data: Float32Array },
): Promise<Comparison | undefined> {
  const ort = runtime();
  if (!ort) return undefined;
  let found: unknown;
  try {
    const session = await ort.InferenceSession.create(model, { intraOpNumThreads: 1, logSeverityLevel: 3 });
    found = (await session.run({ [input.name]: new ort.Tensor('float32', input.data, input.shape) }))[output.name]
      ?.data;
    await session.release();
  } catch (cause) {
    throw new InterchangeError(`[onnx] ONNX Runtime refuses the file: ${(cause as Error).message}`, { cause });
  }
  if (!(found instanceof Float32Array) || found.length !== output.data.length) {
    throw new InterchangeError(`[onnx] ONNX Runtime gives ${output.name} in another shape`);
  }
  const difference = found.reduce((most, value, index) => Math.max(most, Math.abs(value - output.data[index]!)), 0);
  const { versions } = ort.env;
  return { version: versions.node ?? versions.common ?? 'of unknown version', difference };
}
