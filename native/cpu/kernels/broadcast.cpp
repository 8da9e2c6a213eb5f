// add, sub, mul, div, maximum, minimum with numpy broadcasting, and broadcastTo.
// Called through the table built in table.cpp. One nest (strided.h) serves every case: equal shapes collapse to one
// row, [C] over rows, [N,1,1,C] and scalars to a few long loops whose inputs step by 1 or stay put.
// The rule easy to break: with equal shapes y may be a's memory, so every element is read before it is written.
#include "cpu/kernels/spans.h"
#include "cpu/kernels/strided.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

// Strides of `v` against the dimensions of `y`: 0 where v is broadcast.
void broadcast_strides(const View& v, const View& y, int64_t* stride) {
  int64_t own[kMaxRank];
  strides_of(v, own);
  for (int i = 0; i < y.rank; ++i) {
    const int j = i - (y.rank - v.rank);
    stride[i] = j < 0 || v.shape[j] == 1 ? 0 : own[j];
  }
}

// Operand 0 is y; the others are inputs. The innermost dimension steps y by 1 and each input by 0 or 1.
template <int N>
void prepare_nest(KernelCall* call) {
  auto* nest = params_of<Nest<N>>(call);
  *nest = {};
  const View& y = call->out[0];
  int64_t stride[N][kMaxRank];
  strides_of(y, stride[0]);
  for (int k = 1; k < N; ++k) broadcast_strides(call->in[k - 1], y, stride[k]);
  for (int i = 0; i < y.rank; ++i) {
    int64_t steps[N];
    for (int k = 0; k < N; ++k) steps[k] = stride[k][i];
    nest->push(y.shape[i], steps);
  }
  bool unit = nest->rank == 0 || nest->stride[nest->rank - 1][0] != 1;
  for (int k = 1; k < N && !unit; ++k) unit = nest->stride[nest->rank - 1][k] > 1;
  if (unit) nest->push_unit();
}

struct Add {
  inline vf operator()(vf a, vf b) const { return a + b; }
};
struct Sub {
  inline vf operator()(vf a, vf b) const { return a - b; }
};
struct Mul {
  inline vf operator()(vf a, vf b) const { return a * b; }
};
struct Div {
  inline vf operator()(vf a, vf b) const { return a / b; }
};
// A NaN on either side stays: vmax and vmin keep one in their first operand.
struct Maximum {
  inline vf operator()(vf a, vf b) const { return select(b != b, b, vmax(a, b)); }
};
struct Minimum {
  inline vf operator()(vf a, vf b) const { return select(b != b, b, vmin(a, b)); }
};

// y[i] = op(a[i or 0], b[i or 0]) for i in [0, n).
template <typename Op, bool StepA, bool StepB>
inline void combine(const float* a, const float* b, float* y, int64_t n) {
  const vf a0 = set1(*a), b0 = set1(*b);
  int64_t i = 0;
  for (; i + W <= n; i += W) store(y + i, Op()(StepA ? load(a + i) : a0, StepB ? load(b + i) : b0));
  if (i < n) {
    const int rest = (int)(n - i);
    store_n(y + i, Op()(StepA ? load_n(a + i, rest) : a0, StepB ? load_n(b + i, rest) : b0), rest);
  }
}

template <typename Op, bool StepA, bool StepB>
void combine_nest(const KernelCall* call, const Nest<3>& nest) {
  const int outer = nest.rank - 1;
  const int64_t cols = nest.shape[outer];
  const float *a = floats(call->in[0]), *b = floats(call->in[1]);
  float* y = floats_out(call->out[0]);
  for_pieces(call->parallel, nest.count(outer), cols, [&](int64_t r0, int64_t r1, int64_t c0, int64_t c1) {
    Cursor<3> at(nest, outer, r0);
    for (int64_t r = r0; r < r1; ++r, at.next())
      combine<Op, StepA, StepB>(a + at.offset[1] + (StepA ? c0 : 0), b + at.offset[2] + (StepB ? c0 : 0),
                                y + at.offset[0] + c0, c1 - c0);
  });
}

template <typename Op>
void run_binary(const KernelCall* call) {
  const auto& nest = *params_of<Nest<3>>(call);
  const int64_t* inner = nest.stride[nest.rank - 1];
  if (inner[1] && inner[2])
    combine_nest<Op, true, true>(call, nest);
  else if (inner[1])
    combine_nest<Op, true, false>(call, nest);
  else if (inner[2])
    combine_nest<Op, false, true>(call, nest);
  else
    combine_nest<Op, false, false>(call, nest);
}

void run_broadcast_to(const KernelCall* call) {
  const auto& nest = *params_of<Nest<2>>(call);
  const int outer = nest.rank - 1;
  const int64_t cols = nest.shape[outer], step = nest.stride[outer][1];
  const float* x = floats(call->in[0]);
  float* y = floats_out(call->out[0]);
  for_pieces(call->parallel, nest.count(outer), cols, [&](int64_t r0, int64_t r1, int64_t c0, int64_t c1) {
    Cursor<2> at(nest, outer, r0);
    for (int64_t r = r0; r < r1; ++r, at.next()) {
      const float* from = x + at.offset[1];
      float* to = y + at.offset[0];
      if (step) {
        memcpy(to + c0, from + c0, (size_t)(c1 - c0) * sizeof(float));
      } else {
        const float value = *from;
        for (int64_t i = c0; i < c1; ++i) to[i] = value;
      }
    }
  });
}

const Kernel kernels[] = {
    {"add", prepare_nest<3>, run_binary<Add>},          {"sub", prepare_nest<3>, run_binary<Sub>},
    {"mul", prepare_nest<3>, run_binary<Mul>},          {"div", prepare_nest<3>, run_binary<Div>},
    {"maximum", prepare_nest<3>, run_binary<Maximum>},  {"minimum", prepare_nest<3>, run_binary<Minimum>},
    {"broadcastTo", prepare_nest<2>, run_broadcast_to},
};

}  // namespace

extern const KernelList kBroadcastKernels;
const KernelList kBroadcastKernels = {kernels, sizeof kernels / sizeof kernels[0]};

}  // namespace gramian::cpu::GRAMIAN_ISA
