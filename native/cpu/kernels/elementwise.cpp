// Unary functions, their gradients, affine, fill and copy: one output element from the same element of each input.
// Called through the table built in table.cpp.
// The rule easy to break: y may be the first input's own memory, so every element is read before it is written.
#include "cpu/kernels/activation.h"
#include "cpu/kernels/logarithm.h"
#include "cpu/kernels/spans.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

inline const View& input(const KernelCall* call, int i = 0) { return call->in[i]; }

inline float alpha_of(const KernelCall* call) { return (float)attr(call, "alpha"); }

template <typename Act>
void run_activation(const KernelCall* call, const Act& act) {
  map1(call, input(call), call->out[0], [&](vf x) { return act.value(x); });
}
void run_relu(const KernelCall* call) { run_activation(call, Relu{}); }
void run_tanh(const KernelCall* call) { run_activation(call, Tanh{}); }
void run_sigmoid(const KernelCall* call) { run_activation(call, Sigmoid{}); }
void run_leaky_relu(const KernelCall* call) { run_activation(call, LeakyRelu{alpha_of(call)}); }
void run_elu(const KernelCall* call) { run_activation(call, Elu{alpha_of(call)}); }

void run_exp(const KernelCall* call) {
  map1(call, input(call), call->out[0], [](vf x) { return vexp(x); });
}
void run_log(const KernelCall* call) {
  map1(call, input(call), call->out[0], [](vf x) { return vlog(x); });
}
void run_sqrt(const KernelCall* call) {
  map1(call, input(call), call->out[0], [](vf x) { return vsqrt(x); });
}
void run_square(const KernelCall* call) {
  map1(call, input(call), call->out[0], [](vf x) { return x * x; });
}
void run_abs(const KernelCall* call) {
  map1(call, input(call), call->out[0], [](vf x) { return vabs(x); });
}
void run_affine(const KernelCall* call) {
  const vf scale = set1((float)attr(call, "scale", 1)), offset = set1((float)attr(call, "offset"));
  map1(call, input(call), call->out[0], [&](vf x) { return fma(x, scale, offset); });
}

// Gradients from the output y (absGrad: from the input x).
void run_relu_grad(const KernelCall* call) {
  map2(call, input(call), input(call, 1), call->out[0], [](vf dy, vf y) { return select(y > 0.0f, dy, vf{}); });
}
void run_tanh_grad(const KernelCall* call) {
  map2(call, input(call), input(call, 1), call->out[0], [](vf dy, vf y) { return dy * (1.0f - y * y); });
}
void run_sigmoid_grad(const KernelCall* call) {
  map2(call, input(call), input(call, 1), call->out[0], [](vf dy, vf y) { return dy * (y * (1.0f - y)); });
}
void run_leaky_relu_grad(const KernelCall* call) {
  const float alpha = alpha_of(call);
  map2(call, input(call), input(call, 1), call->out[0],
       [alpha](vf dy, vf y) { return select(y > 0.0f, dy, dy * alpha); });
}
void run_elu_grad(const KernelCall* call) {
  const float alpha = alpha_of(call);
  map2(call, input(call), input(call, 1), call->out[0],
       [alpha](vf dy, vf y) { return select(y > 0.0f, dy, dy * (y + alpha)); });
}
void run_abs_grad(const KernelCall* call) {
  map2(call, input(call), input(call, 1), call->out[0],
       [](vf dy, vf x) { return select(x > 0.0f, dy, select(x < 0.0f, -dy, vf{})); });
}

// ---------------------------------------------------------------- fill and copy

void run_fill(const KernelCall* call) {
  const float value = (float)attr(call, "value");
  const View& y = call->out[0];
  const int64_t rows = dense(y) ? 1 : y.rows, cols = dense(y) ? y.rows * y.cols : y.cols;
  for_pieces(call->parallel, rows, cols, [&](int64_t r0, int64_t r1, int64_t c0, int64_t c1) {
    for (int64_t r = r0; r < r1; ++r) {
      float* row = floats_out(y) + r * y.pitch;
      for (int64_t i = c0; i < c1; ++i) row[i] = value;
    }
  });
}

// Any dtype: the bytes of one shape from one pitch to another.
void run_copy(const KernelCall* call) {
  const View &x = call->in[0], &y = call->out[0];
  if (x.data == y.data && x.pitch == y.pitch) return;
  const int64_t size = x.dtype == DType::u8 ? 1 : 4;
  const bool flat = dense(x) && dense(y);
  const int64_t rows = flat ? 1 : y.rows, cols = flat ? y.rows * y.cols : y.cols;
  for_pieces(call->parallel, rows, cols, [&](int64_t r0, int64_t r1, int64_t c0, int64_t c1) {
    for (int64_t r = r0; r < r1; ++r)
      memcpy(static_cast<char*>(y.data) + (r * y.pitch + c0) * size,
             static_cast<const char*>(x.data) + (r * x.pitch + c0) * size, (size_t)((c1 - c0) * size));
  });
}

const Kernel kernels[] = {
    {"relu", prepare_nothing, run_relu},
    {"tanh", prepare_nothing, run_tanh},
    {"sigmoid", prepare_nothing, run_sigmoid},
    {"exp", prepare_nothing, run_exp},
    {"log", prepare_nothing, run_log},
    {"sqrt", prepare_nothing, run_sqrt},
    {"square", prepare_nothing, run_square},
    {"abs", prepare_nothing, run_abs},
    {"leakyRelu", prepare_nothing, run_leaky_relu},
    {"elu", prepare_nothing, run_elu},
    {"affine", prepare_nothing, run_affine},
    {"reluGrad", prepare_nothing, run_relu_grad},
    {"tanhGrad", prepare_nothing, run_tanh_grad},
    {"sigmoidGrad", prepare_nothing, run_sigmoid_grad},
    {"leakyReluGrad", prepare_nothing, run_leaky_relu_grad},
    {"eluGrad", prepare_nothing, run_elu_grad},
    {"absGrad", prepare_nothing, run_abs_grad},
    {"fill", prepare_nothing, run_fill},
    {"copy", prepare_nothing, run_copy},
};

}  // namespace

extern const KernelList kElementwiseKernels;
const KernelList kElementwiseKernels = {kernels, sizeof kernels / sizeof kernels[0]};

}  // namespace gramian::cpu::GRAMIAN_ISA
