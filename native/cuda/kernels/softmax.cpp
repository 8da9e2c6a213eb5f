// softmax and logSoftmax over the last axis, their gradients, the cross-entropy loss with its gradient, and accuracy.
// The kernels are softmax.cu's, of the ops' names. The rule easy to break: rows are the warps' work, so the grid
// follows rows.
#include "cuda/kernels/softmax.h"

#include "cuda/kernel.h"

namespace gramian::cuda {
namespace {

constexpr unsigned kBlock = 256;
constexpr int64_t kRowsPerBlock = kBlock / 32;

uint32_t u32(int64_t value) { return static_cast<uint32_t>(value); }

void run_rows(const Call& call, Queue& queue) {
  const View &a = call.in[0], &b = call.in.back(), &y = call.out[0];
  const SoftmaxParams params = {a.floats(),  b.floats(),   y.floats(),   u32(y.rows),
                                u32(y.cols), u32(a.pitch), u32(b.pitch), u32(y.pitch)};
  queue.launch("softmax", call.op, grid_for(call, y.rows, kRowsPerBlock), kBlock, params);
}

/** Workspace: a loss for each row, then the total weight. */
void prepare_cross_entropy(Call& call) { call.workspace_bytes = (1 + call.in[0].rows) * int64_t{sizeof(float)}; }

void run_cross_entropy(const Call& call, Queue& queue) {
  const View &logits = call.in[0], &gradient = call.out[1];
  CrossEntropyParams params = {};
  params.logits = logits.floats();
  params.labels = call.in[1].ints();
  params.class_weights = call.in.size() > 2 ? call.in[2].floats() : nullptr;
  params.gradient = gradient.floats();
  params.losses = static_cast<float*>(call.workspace);
  params.total = params.losses + logits.rows;
  params.loss = call.out[0].floats();
  params.smoothing = static_cast<float>(call.number("labelSmoothing"));
  params.rows = u32(logits.rows);
  params.cols = u32(logits.cols);
  params.pitch_logits = u32(logits.pitch);
  params.pitch_gradient = u32(gradient.pitch);
  params.fault = queue.fault("[crossEntropy] a label is outside 0..K-1");
  if (params.class_weights) queue.launch("softmax", "crossEntropyTotal", {1}, kBlock, params);
  queue.launch("softmax", "crossEntropyRows", grid_for(call, logits.rows, kRowsPerBlock), kBlock, params);
  queue.launch("softmax", "crossEntropyLoss", {1}, kBlock, params);
}

void run_accuracy(const Call& call, Queue& queue) {
  const View& logits = call.in[0];
  const AccuracyParams params = {logits.floats(),  call.in[1].ints(), call.out[0].floats(),
                                 u32(logits.rows), u32(logits.cols),  u32(logits.pitch)};
  queue.launch("softmax", "accuracy", {1}, kBlock, params);
}

const Kernel kernels[] = {
    {"softmax", prepare_nothing, run_rows},
    {"logSoftmax", prepare_nothing, run_rows},
    {"softmaxGrad", prepare_nothing, run_rows},
    {"logSoftmaxGrad", prepare_nothing, run_rows},
    {"crossEntropy", prepare_cross_entropy, run_cross_entropy},
    {"accuracy", prepare_nothing, run_accuracy},
};

}  // namespace

extern const KernelList kSoftmaxKernels;
const KernelList kSoftmaxKernels = list_of(kernels);

}  // namespace gramian::cuda
