// Softmax cross-entropy of logits [R, C] and its gradient, a warp a row. Run by test/softcuda/kernels.test.ts.
// The rule easy to break: a whole warp leaves or stays, since rows are per warp.
extern "C" __global__ void __launch_bounds__(128)
softmax(const float* __restrict__ logits, const int* __restrict__ labels, float* __restrict__ loss, float* __restrict__ gradient,
        int rows, int classes) {
  const int row = blockIdx.x * 4 + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= rows) return;
  const float* z = logits + static_cast<size_t>(row) * classes;
  float most = -INFINITY;
  for (int c = lane; c < classes; c += 32) most = fmaxf(most, z[c]);
  for (int step = 16; step > 0; step /= 2) most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, step));
  float sum = 0;
  for (int c = lane; c < classes; c += 32) sum += expf(z[c] - most);
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
  const int label = labels[row];
  for (int c = lane; c < classes; c += 32) gradient[static_cast<size_t>(row) * classes + c] = expf(z[c] - most) / sum - (c == label ? 1.0f : 0.0f);
  if (lane == 0) loss[row] = logf(sum) + most - z[label];
}
