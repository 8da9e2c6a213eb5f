// Mean and biased variance of each channel of x [P, C]: 256 threads a channel, sums by shuffles and then by the first warp.
// Run by test/softcuda/kernels.test.ts. The rule easy to break: every lane of a warp takes part in its shuffles.
__device__ __noinline__ float warp_sum(float value) {
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
  return value;
}

extern "C" __global__ void __launch_bounds__(256)
statistics(const float* __restrict__ x, float* __restrict__ mean, float* __restrict__ variance, int pixels, int channels) {
  __shared__ float sums[8], squares[8];
  const int c = blockIdx.x, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const float shift = x[c];  // sums around a value of the channel lose fewer digits
  float sum = 0, square = 0;
  for (int p = threadIdx.x; p < pixels; p += 256) {
    const float d = x[static_cast<size_t>(p) * channels + c] - shift;
    sum += d;
    square = fmaf(d, d, square);
  }
  sum = warp_sum(sum);
  square = warp_sum(square);
  if (lane == 0) {
    sums[warp] = sum;
    squares[warp] = square;
  }
  __syncthreads();
  if (warp != 0) return;
  sum = warp_sum(lane < 8 ? sums[lane] : 0.0f);
  square = warp_sum(lane < 8 ? squares[lane] : 0.0f);
  if (lane != 0) return;
  const float off = sum / pixels;
  mean[c] = shift + off;
  variance[c] = square / pixels - off * off;
}
