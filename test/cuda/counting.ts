// What one step did on the software device, kernel by kernel and instruction by instruction: the difference of two reports.
// Used by gates.test.ts and scripts of the performance model. The rule easy to break: a report counts from the process's
// start and lists a kernel once per module, so only sums and differences mean anything.
import type { Instruction, Kernel, Report } from '../softcuda/client';

export interface Counted extends Instruction {
  readonly kernel: string;
  readonly file: string;
}

/** Sums over the launches of one kernel. */
export interface Work {
  readonly name: string;
  launches: number;
  warpInstructions: number;
  threadInstructions: number;
  uniqueSectors: number;
  readonly instructions: Map<string, Counted>;
}

const SUMS = ['launches', 'warpInstructions', 'threadInstructions', 'uniqueSectors'] as const;
const PARTS = ['warps', 'threads', 'sectors', 'passes', 'ideal'] as const;

function addInstruction(work: Work, one: Instruction & { file?: string }, sign: number): void {
  const key = `${one.ptxLine} ${one.text}`;
  const before = work.instructions.get(key);
  const sum: Counted = { ...one, kernel: work.name, file: one.file ?? '' };
  for (const part of PARTS) {
    const value = sign * (one[part] ?? 0) + (before?.[part] ?? 0);
    if (one[part] !== undefined || before?.[part] !== undefined) sum[part] = value;
  }
  work.instructions.set(key, sum);
}

function add(all: Map<string, Work>, kernel: Kernel, sign: number): void {
  const empty = { launches: 0, warpInstructions: 0, threadInstructions: 0, uniqueSectors: 0 };
  const work = all.get(kernel.name) ?? { name: kernel.name, ...empty, instructions: new Map<string, Counted>() };
  for (const sum of SUMS) work[sum] += sign * kernel[sum];
  for (const one of kernel.instructions) addInstruction(work, one, sign);
  all.set(kernel.name, work);
}

/** What happened between two reports, by kernel; kernels that were not launched are left out. */
export function workBetween(before: Report, after: Report): Work[] {
  const all = new Map<string, Work>();
  for (const kernel of after.kernels) add(all, kernel, 1);
  for (const kernel of before.kernels) add(all, kernel, -1);
  return [...all.values()].filter(({ launches }) => launches > 0);
}

export const totalOf = (works: readonly Work[], sum: (typeof SUMS)[number]) =>
  works.reduce((total, work) => total + work[sum], 0);
