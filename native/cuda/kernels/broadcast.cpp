// add, sub, mul, div, maximum, minimum with numpy broadcasting, and broadcastTo. One nest (nests.h) serves every case;
// the function is a number that the kernel switches on, since all of them wait for memory. The rule easy to break: an
// operand's missing or single dimensions have step 0, whatever its pitch.
#include "cuda/kernels/broadcast.h"

#include "cuda/kernels/nests.h"

namespace gramian::cuda {
namespace {

/** Strides of `view` against the dimensions of `y`. */
std::vector<int64_t> broadcast_strides(const View& view, const View& y) {
  const std::vector<int64_t> own = strides_of(view);
  const size_t missing = y.shape.size() - view.shape.size();
  std::vector<int64_t> strides(y.shape.size(), 0);
  for (size_t i = 0; i < own.size(); ++i) strides[missing + i] = view.shape[i] == 1 ? 0 : own[i];
  return strides;
}

void enqueue(const Call& call, Queue& queue, Combine how, const View& b) {
  const View &a = call.in[0], &y = call.out[0];
  const std::vector<int64_t> to = strides_of(y), first = broadcast_strides(a, y), second = broadcast_strides(b, y);
  Axes<3> axes;
  for (size_t i = 0; i < y.shape.size(); ++i) axes.push(y.shape[i], {to[i], first[i], second[i]});
  const Walk<3> walk = walk_of<3>(axes, {y.data, a.data, b.data});
  const BroadcastParams params = {a.floats(),      b.floats(),    y.floats(),    walk.nest,
                                  walk.spans.span, walk.inner[1], walk.inner[2], how};
  launch_span(call, queue, "broadcast", "broadcast", walk.spans, params);
}

template <Combine How>
void run_binary(const Call& call, Queue& queue) {
  enqueue(call, queue, How, call.in[1]);
}

void run_broadcast_to(const Call& call, Queue& queue) { enqueue(call, queue, Combine::first, call.in[0]); }

const Kernel kernels[] = {
    {"add", prepare_nothing, run_binary<Combine::add>},
    {"sub", prepare_nothing, run_binary<Combine::sub>},
    {"mul", prepare_nothing, run_binary<Combine::mul>},
    {"div", prepare_nothing, run_binary<Combine::div>},
    {"maximum", prepare_nothing, run_binary<Combine::maximum>},
    {"minimum", prepare_nothing, run_binary<Combine::minimum>},
    {"broadcastTo", prepare_nothing, run_broadcast_to},
};

}  // namespace

extern const KernelList kBroadcastKernels;
const KernelList kBroadcastKernels = list_of(kernels);

}  // namespace gramian::cuda
