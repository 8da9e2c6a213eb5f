// The op table: every op of docs/ops.md with shapes that find bugs. Walked by table.test.ts (oracle alone) and
// kernels.test.ts (every kernel against the oracle). Adding an op to docs/ops.md without a row here fails a test.
import type { Row } from './case';
import { classificationRows } from './rows/classification';
import { elementwiseRows } from './rows/elementwise';
import { hsicRows } from './rows/hsic';
import { linearRows } from './rows/linear';
import { normalisationRows } from './rows/normalisation';
import { poolingRows } from './rows/pooling';
import { shapeRows } from './rows/shape';
import { updateRows } from './rows/updates';

export const table: readonly Row[] = [
  ...elementwiseRows,
  ...shapeRows,
  ...linearRows,
  ...normalisationRows,
  ...poolingRows,
  ...classificationRows,
  ...hsicRows,
  ...updateRows,
];
