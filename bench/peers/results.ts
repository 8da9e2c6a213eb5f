// Results of a peer in another process, read back as [step][tensor]. Called by the hosts beside this file.
import { ExecutionError } from '../../src/errors';
import { sizeOf } from '../../src/graph/graph';
import type { Program } from '../translate/program';

/** @param bytes float32 values of every result of every step, one after the other. */
export function resultsOf(bytes: Uint8Array, program: Program, steps: number): Float32Array[][] {
  const values = new Float32Array(Uint8Array.from(bytes).buffer);
  const sizes = program.results.map((id) => sizeOf(program.tensors[id]!.shape));
  const each = sizes.reduce((sum, size) => sum + size, 0);
  if (values.length !== steps * each) {
    throw new ExecutionError(`[bench] expected ${steps * each} values of the peer, got ${values.length}`);
  }
  let offset = 0;
  return Array.from({ length: steps }, () =>
    sizes.map((size) => {
      offset += size;
      return values.subarray(offset - size, offset);
    }),
  );
}
