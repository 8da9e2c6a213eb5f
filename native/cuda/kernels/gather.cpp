// gather (rows of each sample by index), its gradient, and topK (the rows of each sample with the largest norms).
// The rule easy to break: index comes from data; the kernels check it, and a fault fails the step.
#include "cuda/kernels/gather.h"

#include "core/text.h"
#include "cuda/kernels/reductions.h"
#include "cuda/kernels/spans.h"

namespace gramian::cuda {
namespace {

uint32_t u32(int64_t value) { return static_cast<uint32_t>(value); }

/** `x` has the shape [N,P,D], `y` [N,K,D]. */
void run_picks(const Call& call, Queue& queue, const View& x, const View& y) {
  const View &from = call.in[0], &index = call.in[1], &to = call.out[0];
  const Spans spans = row_spans_of(to, {&from, &to});
  GatherParams params = {};
  params.from = from.floats();
  params.index = index.ints();
  params.to = to.floats();
  params.span = spans.span;
  params.rows_to = make_divisor(to.shape[1]);
  params.rows_from = u32(from.shape[1]);
  params.picks = u32(y.shape[1]);
  params.rows = u32(x.shape[1]);
  params.pitch_from = u32(from.pitch);
  params.pitch_index = u32(index.pitch);
  params.pitch_to = u32(to.pitch);
  params.fault = queue.fault("[gather] an index is outside 0..P-1");
  launch_span(call, queue, "gather", call.op, spans, params);
}

void run_gather(const Call& call, Queue& queue) { run_picks(call, queue, call.in[0], call.out[0]); }
void run_gradient(const Call& call, Queue& queue) { run_picks(call, queue, call.out[0], call.in[0]); }

/** Workspace: the norms. */
void prepare_top(Call& call) {
  const View& x = call.in[0];
  if (call.out[0].cols > x.shape[1])
    throw Error(Code::shape, cat("[topK] expected k of at most ", x.shape[1], " rows, got ", call.out[0].cols));
  call.workspace_bytes = x.rows * int64_t{sizeof(float)};
}

// x[N,P,D] -> index[N,k]
void run_top(const Call& call, Queue& queue) {
  const View &x = call.in[0], &index = call.out[0];
  auto* norms = static_cast<float*>(call.workspace);
  enqueue_squared_norms(call, x, norms, queue);
  const TopParams top = {norms, index.ints(), u32(x.shape[0]), u32(x.shape[1]), u32(index.cols), u32(index.pitch)};
  queue.launch("gather", "topK", grid_for(call, x.shape[0], 1), 256, top);
}

const Kernel kernels[] = {
    {"gather", prepare_nothing, run_gather},
    {"gatherGrad", prepare_nothing, run_gradient},
    {"topK", prepare_top, run_top},
};

}  // namespace

extern const KernelList kGatherKernels;
const KernelList kGatherKernels = list_of(kernels);

}  // namespace gramian::cuda
