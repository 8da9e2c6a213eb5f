// The gates on what kernels do (docs/cuda.md, Gates): each judges the counters of one op's step and gives its figure, and what
// is wrong where it is over the limit and test/cuda/exemptions.json does not allow it. Used by gates.test.ts.
// The rule easy to break: an exemption that nothing needs any more must be taken out; unused() names it.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { root } from '../softcuda/client';
import { type Counted, totalOf, type Work } from './counting';

interface LineExemption {
  readonly gate: 'sectors' | 'passes';
  readonly kernel: string;
  /** A file of native/cuda/kernels and the text of its line, without the spaces around. */
  readonly file: string;
  readonly line: string;
  readonly reason: string;
}

interface OpExemption {
  readonly gate: 'bytes' | 'lanes' | 'instructions';
  readonly op: string;
  readonly limit: number;
  readonly reason: string;
}

const exemptions = JSON.parse(readFileSync(path.join(__dirname, 'exemptions.json'), 'utf8')) as {
  lines: readonly LineExemption[];
  ops: readonly OpExemption[];
};

export const LIMITS = { sectors: 1.05, bytes: 1.1, passes: 1.1, lanes: 0.9 } as const;
/** Ops that read the neighbours of a block's pixels too. */
const HALO = 1.6;
const LEAST_BYTES = 1024;
/** An access that wastes less than this share of what the whole step spends is not looked at. */
const NOTHING = 0.01;

/** The op at work: its kernels, the bytes it cannot do without, its multiply-adds where it is counted by them. */
export interface Step {
  /** The op; for convolutions, which kind of it. */
  readonly op: string;
  readonly works: readonly Work[];
  readonly bytes: number;
  readonly halo: boolean;
  readonly multiplyAdds?: { readonly count: number; readonly limit: number };
}

export interface Verdict {
  readonly gate: string;
  readonly figure: number;
  readonly faults: readonly string[];
}

const used = new Set<LineExemption | OpExemption>();

const sources = new Map<string, readonly string[]>();

function sourceLine(file: string, line: number): string {
  const name = path.basename(file);
  const ours = path.join(root, 'native/cuda/kernels', name);
  // A header of the toolkit is no file of ours, and its lines differ from one version to the next.
  if (!sources.has(name)) sources.set(name, existsSync(ours) ? readFileSync(ours, 'utf8').split('\n') : []);
  return sources.get(name)![line - 1]?.trim() ?? '';
}

function exemptLine(gate: LineExemption['gate'], one: Counted): boolean {
  const line = one.file === '' ? '' : sourceLine(one.file, one.line);
  const found = exemptions.lines.find(
    (exemption) =>
      exemption.gate === gate &&
      exemption.kernel === one.kernel &&
      exemption.file === path.basename(one.file) &&
      exemption.line === line,
  );
  if (found) used.add(found);
  return found !== undefined;
}

/** What a line of source costs a kernel, however often it was unrolled. */
function byLine(gate: 'sectors' | 'passes', works: readonly Work[]): Counted[] {
  const lines = new Map<string, Counted>();
  for (const one of works.flatMap(({ instructions }) => [...instructions.values()])) {
    if (one[gate] === undefined || !one.ideal) continue;
    const key = `${one.kernel} ${one.file} ${one.line}`;
    const before = lines.get(key);
    const cost = one[gate] + (before?.[gate] ?? 0);
    lines.set(key, { ...one, [gate]: cost, ideal: one.ideal + (before?.ideal ?? 0) });
  }
  return [...lines.values()];
}

/** Accesses of one space: what they cost against what their bytes need, each line of source on its own. */
function accesses(gate: 'sectors' | 'passes', works: readonly Work[]): Verdict {
  const all = byLine(gate, works);
  const sum = (of: (one: Counted) => number) => all.reduce((total, one) => total + of(one), 0);
  const [cost, ideal] = [sum((one) => one[gate]!), sum((one) => one.ideal ?? 0)];
  const wasteful = all.filter((one) => {
    const excess = one[gate]! - one.ideal!;
    return one[gate]! / one.ideal! > LIMITS[gate] && excess > cost * NOTHING;
  });
  const faults = wasteful
    .filter((one) => !exemptLine(gate, one))
    .map((one) => {
      const text = one.file === '' ? '' : sourceLine(one.file, one.line);
      const figure = (one[gate]! / one.ideal!).toFixed(2);
      return `${one.kernel}: ${gate} ${figure}: ${path.basename(one.file)}:${one.line}: ${text}`;
    });
  return { gate, figure: ideal === 0 ? 1 : cost / ideal, faults };
}

/** `excess` over 1 is a fault, unless the op may have this figure. */
function judged(gate: OpExemption['gate'], step: Step, figure: number, limit: number): Verdict {
  const over = (bound: number) => (gate === 'lanes' ? figure < bound : figure > bound);
  if (!over(limit)) return { gate, figure, faults: [] };
  const exemption = exemptions.ops.find((one) => one.gate === gate && one.op === step.op);
  if (exemption) used.add(exemption);
  const allowed = exemption?.limit ?? limit;
  return { gate, figure, faults: over(allowed) ? [`${gate} ${figure.toFixed(3)}, expected ${allowed}`] : [] };
}

export function judge(step: Step): Verdict[] {
  const { works, bytes, halo, multiplyAdds } = step;
  const warps = totalOf(works, 'warpInstructions');
  const threads = totalOf(works, 'threadInstructions');
  const verdicts = [accesses('sectors', works), accesses('passes', works)];
  // A view costs nothing, and of a few numbers there is nothing to judge.
  if (works.length === 0 || bytes < LEAST_BYTES) return verdicts;
  const moved = totalOf(works, 'uniqueSectors') * 32;
  verdicts.push(judged('bytes', step, moved / bytes, halo ? HALO : LIMITS.bytes));
  verdicts.push(judged('lanes', step, threads / (32 * warps), LIMITS.lanes));
  if (multiplyAdds) verdicts.push(judged('instructions', step, threads / multiplyAdds.count, multiplyAdds.limit));
  return verdicts;
}

/** Exemptions that no step has needed so far. */
export function unused(): string[] {
  return [...exemptions.lines, ...exemptions.ops]
    .filter((one) => !used.has(one))
    .map((one) => `${one.gate} of ${'op' in one ? one.op : `${one.kernel}: ${one.line}`}`);
}
