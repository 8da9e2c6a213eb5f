// What is wanted of each row of the benchmarks: how many times as fast as the best peer, and more. Read by markdown.ts. The
// rule easy to break: a target is set before a row is measured, and stays when it is missed.

export interface Target {
  /** Time of the best float32 peer over ours; of a memory row its peak over ours. */
  readonly ratio?: number;
  /** Share of the roofline in float32. */
  readonly roofline?: number;
  /** Our float32's time over our bf16's. */
  readonly overFloat32?: number;
  /** Time of the best bf16 peer over our bf16's. */
  readonly bf16?: number;
  /** Time of the best peer of any precision over our bf16's. */
  readonly bf16ToAny?: number;
  /** Time of one peer over ours. */
  readonly versus?: { readonly peer: string; readonly ratio: number };
}

const STEP: Target = { overFloat32: 1.6, bf16ToAny: 4 };
const LOCAL: Target = { ...STEP, ratio: 4, roofline: 0.45 };
const BACK_PROPAGATED: Target = { ...STEP, ratio: 3.5 };

/** By the row's id. */
export const TARGETS: Readonly<Record<string, Target>> = {
  'cfpn-cka-64': LOCAL,
  'cfpn-cka-128': LOCAL,
  'cfpn-bp-64': BACK_PROPAGATED,
  'cfpn-bp-128': BACK_PROPAGATED,
  'small-bp-128': { ...STEP, ratio: 4, versus: { peer: 'tfjs-node', ratio: 20 } },
  'small-infer-1': { ratio: 1.5 },
  'small-infer-128': { ratio: 3 },
  hsic: { ratio: 1.5, bf16: 1, versus: { peer: 'tfjs-wasm', ratio: 50 } },
  gram: { ratio: 1.5 },
  pointwise: { ratio: 0.95 },
  depthwise: { ratio: 1 },
  'memory-cfpn-cka-128': { ratio: 4 },
};
