// How cost grows with batch, input, blocks and threads: a table of the growth rows that were measured. Called by bench.ts
// at the end of a run. The rule easy to break: only along the batch should the time per image be flat, so only there is a
// spread judged.
import type { Growth, GrowthPoint, Measurement } from './reports';
import type { Along, Row } from './rows';

/** What time per image may vary by along the batch. */
export const FLAT = 0.15;

function pointOf(row: Row, { ours, row: id }: Measurement): GrowthPoint {
  const { medianMs, gflops, arenaBytes } = ours;
  return { row: id, value: row.growth!.value, medianMs, perImageMs: medianMs / row.batch!, gflops, arenaBytes };
}

/** Largest over smallest, less 1: 0.15 when the slowest is 15 % above the fastest. */
export function spreadOf(values: readonly number[]): number {
  return Math.max(...values) / Math.min(...values) - 1;
}

/** @param rows, measurements those of a run; others than growth rows are left out. Undefined when there is none. */
export function growthOf(rows: readonly Row[], measurements: readonly Measurement[]): Growth | undefined {
  const series = new Map<Along, GrowthPoint[]>();
  for (const row of rows) {
    const measurement = measurements.find((one) => one.row === row.id);
    if (!row.growth || !measurement) continue;
    series.set(row.growth.along, [...(series.get(row.growth.along) ?? []), pointOf(row, measurement)]);
  }
  if (series.size === 0) return undefined;
  const growth = [...series].map(([along, points]) => {
    if (along !== 'batch' || points.length < 2) return { along, points };
    return { along, points, spread: spreadOf(points.map(({ perImageMs }) => perImageMs)), target: FLAT };
  });
  return { growth };
}
