// Dropout and, being linear with a mask that is a function of (seed, node, step, element), its own gradient.
// Called through the table built in table.cpp.
// The rule easy to break: `element` counts in the dense row-major shape, whatever the pitch.
#include "cpu/kernels/philox.h"
#include "cpu/kernels/spans.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

constexpr int64_t kBlock = 4 * W;  // elements drawn at once: 4 from each lane's counter

// x, step[1] -> y; y may be x's memory.
void run_dropout(const KernelCall* call) {
  const View &x = call->in[0], &y = call->out[0];
  const double rate = attr(call, "rate");
  const Key key = key_of(attr(call, "seed"));
  const auto node = (uint32_t)(int64_t)attr(call, "node"), step = (uint32_t)ints(call->in[1])[0];
  // u >= rate on 24-bit integers: exact whatever the rate.
  const double least = __builtin_ceil(rate * 0x1p24);
  const auto threshold = (int32_t)(least < 0 ? 0 : least > 0x1p24 ? 0x1p24 : least);
  const vf scale = set1(rate < 1 ? (float)(1 / (1 - rate)) : 0);
  const bool flat = dense(x) && dense(y);
  const int64_t rows = flat ? 1 : y.rows, cols = flat ? y.rows * y.cols : y.cols;
  for_pieces(call->parallel, rows, cols, [&](int64_t r0, int64_t r1, int64_t c0, int64_t c1) {
    for (int64_t r = r0; r < r1; ++r) {
      const float* from = floats(x) + r * x.pitch - r * cols;  // indexed by element
      float* to = floats_out(y) + r * y.pitch - r * cols;
      const int64_t first = r * cols + c0, end = r * cols + c1;
      for (int64_t block = first / kBlock * kBlock; block < end; block += kBlock) {
        vu words[4] = {};
        philox(key, (uint32_t)(block / 4), node, step, kDropout, words);
        float drawn[4][W], factor[kBlock];
        for (int w = 0; w < 4; ++w) store(drawn[w], select((vi)(words[w] >> 8) >= threshold, scale, vf{}));
        for (int i = 0; i < kBlock; ++i) factor[i] = drawn[i % 4][i / 4];
        const int64_t stop = min64(block + kBlock, end);
        for (int64_t e = max64(block, first); e < stop; ++e) to[e] = from[e] * factor[e - block];
      }
    }
  });
}

const Kernel kernels[] = {
    {"dropout", prepare_nothing, run_dropout},
};

}  // namespace

extern const KernelList kDropoutKernels;
const KernelList kDropoutKernels = {kernels, sizeof kernels / sizeof kernels[0]};

}  // namespace gramian::cpu::GRAMIAN_ISA
