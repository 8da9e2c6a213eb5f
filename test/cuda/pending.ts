// What device cuda cannot do yet. Used by kernels.test.ts and train.test.ts.

/** Ops without a CUDA kernel yet. An op that has one must leave this list, or its test fails. */
export const PENDING: readonly string[] = [
  'gram',
  'gramGrad',
  'kernelMatrix',
  'labelKernel',
  'hsicNormalize',
  'hsicObjective',
];
