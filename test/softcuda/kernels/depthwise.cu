// Depthwise 3x3 convolution, NHWC, stride 1, padding 1, C a multiple of 4: tiles of 8 x 8 pixels and 32 channels.
// Run by test/softcuda/kernels.test.ts. The rule easy to break: threads beyond C leave only after the last barrier.
constexpr int kSide = 8, kVectors = 8, kHalo = kSide + 2;

extern "C" __global__ void __launch_bounds__(256)
depthwise(const float* __restrict__ x, const float* __restrict__ w, float* __restrict__ y, int height, int width, int channels,
          int tiles_x) {
  __shared__ float4 tile[kHalo * kHalo * kVectors], taps[9 * kVectors];
  const int t = threadIdx.x, v = t % kVectors, pixel = t / kVectors, c = blockIdx.y * kVectors * 4 + v * 4;
  const int y0 = blockIdx.x / tiles_x * kSide, x0 = blockIdx.x % tiles_x * kSide;
  const bool inside = c < channels;
  const float4 zero = make_float4(0, 0, 0, 0);
  const float* image = x + static_cast<size_t>(blockIdx.z) * height * width * channels;
  if (pixel < 9) taps[pixel * kVectors + v] = inside ? *reinterpret_cast<const float4*>(w + pixel * channels + c) : zero;
#pragma unroll 1
  for (int i = pixel; i < kHalo * kHalo; i += 32) {
    const int iy = y0 + i / kHalo - 1, ix = x0 + i % kHalo - 1;
    const bool hit = inside && iy >= 0 && iy < height && ix >= 0 && ix < width;
    tile[i * kVectors + v] = hit ? *reinterpret_cast<const float4*>(image + (static_cast<size_t>(iy) * width + ix) * channels + c) : zero;
  }
  __syncthreads();
  if (!inside) return;
#pragma unroll
  for (int part = 0; part < 2; ++part) {
    const int at = pixel + part * 32, oy = at / kSide, ox = at % kSide;
    if (y0 + oy >= height || x0 + ox >= width) continue;
    float4 sum = zero;
#pragma unroll
    for (int k = 0; k < 9; ++k) {
      const float4 a = tile[((oy + k / 3) * kHalo + ox + k % 3) * kVectors + v], b = taps[k * kVectors + v];
      sum.x = fmaf(a.x, b.x, sum.x);
      sum.y = fmaf(a.y, b.y, sum.y);
      sum.z = fmaf(a.z, b.z, sum.z);
      sum.w = fmaf(a.w, b.w, sum.w);
    }
    float* out = y + (static_cast<size_t>(blockIdx.z) * height * width + (y0 + oy) * width + x0 + ox) * channels + c;
    *reinterpret_cast<float4*>(out) = sum;
  }
}
