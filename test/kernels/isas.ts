// The instruction set tiers this CPU has, for tests that run on each of them.
import { devices } from '../../src/compile';

export type Isa = 'scalar' | 'sse' | 'avx2' | 'avx512';

const ISAS: readonly Isa[] = ['scalar', 'sse', 'avx2', 'avx512'];

/** Every tier up to the best one. */
export function availableIsas(): Isa[] {
  const best = devices().find((device) => device.id === 'cpu')?.isa;
  const last = ISAS.indexOf(best as Isa);
  if (last < 0) throw new Error(`the CPU's ISA is ${String(best)}, expected one of ${ISAS.join(', ')}`);
  return ISAS.slice(0, last + 1);
}
