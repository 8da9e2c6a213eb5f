// One Adam update of n values, four a thread with a tail. Run by test/softcuda/kernels.test.ts.
// The rule easy to break: the tail is read one by one, since a vector would reach beyond the end.
struct Rates {
  float lr, beta1, beta2, epsilon, correct1, correct2;
};

__device__ void update(float& p, float g, float& m, float& v, const Rates& r) {
  m = fmaf(r.beta1, m, (1.0f - r.beta1) * g);
  v = fmaf(r.beta2, v, (1.0f - r.beta2) * g * g);
  p -= r.lr * (m * r.correct1) / (sqrtf(v * r.correct2) + r.epsilon);
}

extern "C" __global__ void __launch_bounds__(256)
adam(float* __restrict__ p, const float* __restrict__ g, float* __restrict__ m, float* __restrict__ v, unsigned n, const __grid_constant__ Rates rates) {
  const unsigned i = (blockIdx.x * 256 + threadIdx.x) * 4;
  if (i + 3 < n) {
    float4 P = *reinterpret_cast<float4*>(p + i), M = *reinterpret_cast<float4*>(m + i), V = *reinterpret_cast<float4*>(v + i);
    const float4 G = *reinterpret_cast<const float4*>(g + i);
    update(P.x, G.x, M.x, V.x, rates);
    update(P.y, G.y, M.y, V.y, rates);
    update(P.z, G.z, M.z, V.z, rates);
    update(P.w, G.w, M.w, V.w, rates);
    *reinterpret_cast<float4*>(p + i) = P;
    *reinterpret_cast<float4*>(m + i) = M;
    *reinterpret_cast<float4*>(v + i) = V;
  } else {
    for (unsigned q = i; q < n; ++q) update(p[q], g[q], m[q], v[q], rates);
  }
}
