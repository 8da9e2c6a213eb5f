// Every operator that is translated to the engine's graph, by its ONNX name.
import type { OperatorTable } from '../node';
import { convolutions } from './conv';
import { elementwise } from './elementwise';
import { indexing } from './indexing';
import { linear } from './linear';
import { losses } from './loss';
import { movement } from './movement';
import { normalizations } from './normalize';
import { pools } from './pool';
import { reductions } from './reduce';
import { resizes } from './resize';
import { selection } from './select';

export const operators: OperatorTable = {
  ...elementwise,
  ...movement,
  ...indexing,
  ...reductions,
  ...linear,
  ...convolutions,
  ...pools,
  ...normalizations,
  ...resizes,
  ...losses,
  // Two of these look for chosen places first.
  ...selection,
};
