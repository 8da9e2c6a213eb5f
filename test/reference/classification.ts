// Float64 reference of softmax, cross-entropy and accuracy (docs/ops.md, "Classification"). Called by interpreter.ts.
// The rule easy to break: crossEntropy's second output is the gradient of its loss, already divided by the weights' sum.
import { at, matrixOf, num, type Reference, type Value, zeros } from './value';

/** log softmax of each row. */
function logRows(x: Value): Float64Array {
  const { rows, cols } = matrixOf(x);
  const result = new Float64Array(x.data.length);
  for (let r = 0; r < rows; r++) {
    const row = x.data.subarray(r * cols, (r + 1) * cols);
    const top = row.reduce((best, value) => Math.max(best, value));
    let sum = 0;
    for (const value of row) sum += Math.exp(value - top);
    for (let c = 0; c < cols; c++) result[r * cols + c] = row[c]! - top - Math.log(sum);
  }
  return result;
}

/** dx = f(dy, y, sum over the row of term). */
function rowGrad(
  term: (dy: number, y: number) => number,
  f: (dy: number, y: number, sum: number) => number,
): Reference {
  return ([dy, y]) => {
    const { rows, cols } = matrixOf(y!);
    const dx = zeros(y!.shape);
    for (let r = 0; r < rows; r++) {
      let sum = 0;
      for (let i = r * cols; i < (r + 1) * cols; i++) sum += term(dy!.data[i]!, y!.data[i]!);
      for (let i = r * cols; i < (r + 1) * cols; i++) dx.data[i] = f(dy!.data[i]!, y!.data[i]!, sum);
    }
    return [dx];
  };
}

function labelOf(labels: Value, row: number, classes: number): number {
  const label = labels.data[row]!;
  if (label < 0 || label >= classes) throw new RangeError(`reference: label ${label} is outside 0..${classes - 1}`);
  return label;
}

const crossEntropy: Reference = ([logits, labels, classWeights], shapes, attrs) => {
  const { rows, cols } = matrixOf(logits!);
  const smoothing = num(attrs, 'labelSmoothing');
  const logs = logRows(logits!);
  const loss = zeros(at(shapes, 0));
  const grad = zeros(at(shapes, 1));
  const weights = Array.from({ length: rows }, (_, r) => {
    const label = labelOf(labels!, r, cols);
    return classWeights ? classWeights.data[label]! : 1;
  });
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (total === 0) return [loss, grad];
  for (let r = 0; r < rows; r++) {
    if (weights[r] === 0) continue; // Whatever the row holds.
    for (let c = 0; c < cols; c++) {
      const target = (labels!.data[r] === c ? 1 - smoothing : 0) + smoothing / cols;
      const log = logs[r * cols + c]!;
      if (target !== 0) loss.data[0]! -= (weights[r]! * target * log) / total; // 0 log 0 is 0.
      grad.data[r * cols + c] = (weights[r]! * (Math.exp(log) - target)) / total;
    }
  }
  return [loss, grad];
};

const accuracy: Reference = ([logits, labels], shapes) => {
  const { rows, cols } = matrixOf(logits!);
  let right = 0;
  for (let r = 0; r < rows; r++) {
    const row = logits!.data.subarray(r * cols, (r + 1) * cols);
    let best = 0;
    for (let c = 1; c < cols; c++) if (row[c]! > row[best]!) best = c;
    if (best === labels!.data[r]) right += 1;
  }
  return [{ shape: at(shapes, 0), data: Float64Array.of(right / rows) }];
};

export const classification: Record<string, Reference> = {
  softmax: ([x]) => [{ shape: x!.shape, data: logRows(x!).map(Math.exp) }],
  logSoftmax: ([x]) => [{ shape: x!.shape, data: logRows(x!) }],
  softmaxGrad: rowGrad(
    (dy, y) => dy * y,
    (dy, y, sum) => y * (dy - sum),
  ),
  logSoftmaxGrad: rowGrad(
    (dy) => dy,
    (dy, y, sum) => dy - Math.exp(y) * sum,
  ),
  crossEntropy,
  accuracy,
};
