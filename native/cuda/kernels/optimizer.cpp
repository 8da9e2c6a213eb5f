// Parameter updates: adam, sgd, the moving average of batch statistics, the learning rate's schedule and the step
// counter. The outputs of the updates are the persistent tensors themselves, written in place. The rule easy to break:
// lr and step are tensors on the device, read when the update runs; nothing that follows from them may be passed by
// value.
#include "cuda/kernels/optimizer.h"

#include <cmath>

#include "cuda/kernels/spans.h"

namespace gramian::cuda {
namespace {

uint32_t pitch_of(const View& view) { return static_cast<uint32_t>(view.pitch); }

AdamRule rule_of(const Call& call) {
  const double beta1 = call.number("beta1", 0.9), beta2 = call.number("beta2", 0.999);
  const double decay = call.number("weightDecay");
  const bool decoupled = call.number("decoupled") != 0;
  AdamRule rule = {};
  rule.lr = call.in[4].floats();
  rule.step = call.in[5].ints();
  rule.keep1 = static_cast<float>(beta1);
  rule.take1 = static_cast<float>(1 - beta1);
  rule.keep2 = static_cast<float>(beta2);
  rule.take2 = static_cast<float>(1 - beta2);
  rule.log_beta1 = static_cast<float>(std::log(beta1));
  rule.log_beta2 = static_cast<float>(std::log(beta2));
  rule.eps = static_cast<float>(call.number("eps", 1e-8));
  rule.added = static_cast<float>(decoupled ? 0 : decay);
  rule.decay = static_cast<float>(decoupled ? decay : 0);
  return rule;
}

// p, g, m, v, lr, step -> p, m, v
void run_adam(const Call& call, Queue& queue) {
  const View &p = call.in[0], &g = call.in[1], &m = call.in[2], &v = call.in[3];
  const Spans spans = spans_of({&p, &g, &m, &v});
  const AdamParams params = {p.floats(),  g.floats(),  m.floats(),  v.floats(),  spans.span,
                             pitch_of(p), pitch_of(g), pitch_of(m), pitch_of(v), rule_of(call)};
  launch_span(call, queue, "optimizer", "adam", spans, params);
}

/** Whether adamMany takes the tensors of this update. */
bool plain(const Call& call) {
  for (size_t i = 0; i < 4; ++i)
    if (!call.in[i].dense() || reinterpret_cast<uintptr_t>(call.in[i].data) % 16 != 0) return false;
  return true;
}

/** Updates of several tensors, those alike by one launch for each kAdamTensors of them (multi-tensor Adam). */
void run_adams(const std::vector<const Call*>& calls, Queue& queue) {
  AdamManyParams many = {};
  uint32_t blocks = 0;
  const auto flush = [&] {
    if (many.tensors > 0) queue.launch("optimizer", "adamMany", {blocks}, kSpanBlock, many);
    many.tensors = blocks = 0;
  };
  for (const Call* call : calls) {
    if (!plain(*call)) {
      flush();
      run_adam(*call, queue);
      continue;
    }
    const AdamRule rule = rule_of(*call);
    const View& p = call->in[0];
    if (many.tensors == kAdamTensors || rule != many.rule) flush();
    many.rule = rule;
    many.tensor[many.tensors++] = {
        p.floats(), call->in[1].floats(), call->in[2].floats(), call->in[3].floats(), static_cast<uint32_t>(p.count()),
        blocks};
    blocks += static_cast<uint32_t>(ceil_div(p.count(), kAdamChunk));
  }
  flush();
}

// p, g, velocity, lr -> p, velocity
void run_sgd(const Call& call, Queue& queue) {
  const View &p = call.in[0], &g = call.in[1], &velocity = call.in[2];
  const Spans spans = spans_of({&p, &g, &velocity});
  const SgdParams params = {p.floats(),
                            g.floats(),
                            velocity.floats(),
                            call.in[3].floats(),
                            call.out[0].floats(),
                            call.out[1].floats(),
                            spans.span,
                            pitch_of(p),
                            pitch_of(g),
                            pitch_of(velocity),
                            static_cast<float>(call.number("momentum")),
                            static_cast<float>(call.number("weightDecay")),
                            call.number("nesterov") != 0};
  launch_span(call, queue, "optimizer", "sgd", spans, params);
}

// s, x -> s
void run_ema(const Call& call, Queue& queue) {
  const View &s = call.in[0], &x = call.in[1], &y = call.out[0];
  const double momentum = call.number("momentum"), scale = call.number("scale", 1);
  const Spans spans = spans_of({&s, &x, &y});
  const EmaParams params = {s.floats(),
                            x.floats(),
                            y.floats(),
                            spans.span,
                            pitch_of(s),
                            pitch_of(x),
                            pitch_of(y),
                            static_cast<float>(1 - momentum),
                            static_cast<float>(momentum * scale)};
  launch_span(call, queue, "optimizer", "ema", spans, params);
}

/** Moving averages of dense vectors, a vector to a block; those of a batchNorm follow each other in a step. */
void run_emas(const std::vector<const Call*>& calls, Queue& queue) {
  EmaManyParams many = {};
  const auto flush = [&] {
    if (many.tensors > 0) queue.launch("optimizer", "emaMany", {many.tensors}, kSpanBlock, many);
    many.tensors = 0;
  };
  for (const Call* call : calls) {
    const View &s = call->in[0], &x = call->in[1], &y = call->out[0];
    if (!s.dense() || !x.dense() || !y.dense()) {
      flush();
      run_ema(*call, queue);
      continue;
    }
    const double momentum = call->number("momentum"), scale = call->number("scale", 1);
    many.tensor[many.tensors++] = {s.floats(),
                                   x.floats(),
                                   y.floats(),
                                   static_cast<uint32_t>(s.count()),
                                   static_cast<float>(1 - momentum),
                                   static_cast<float>(momentum * scale)};
    if (many.tensors == kEmaTensors) flush();
  }
  flush();
}

void run_increment(const Call& call, Queue& queue) {
  queue.launch("optimizer", "increment", {1}, 1, IncrementParams{call.in[0].ints(), call.out[0].ints()});
}

/** contracts.cpp knows no other kind. */
Schedule schedule_of(const std::string& kind) {
  return kind == "step"          ? Schedule::step
         : kind == "cosine"      ? Schedule::cosine
         : kind == "exponential" ? Schedule::exponential
                                 : Schedule::constant;
}

// step -> lr
void run_schedule(const Call& call, Queue& queue) {
  const double warmup = call.number("warmup"), every = call.number("every", 1);
  ScheduleParams params = {};
  params.step = call.in[0].ints();
  params.lr = call.out[0].floats();
  params.kind = schedule_of(call.string("kind"));
  params.base = call.number("base");
  params.floor = call.number("floor");
  params.warmup = warmup;
  params.length = std::fmax(1, call.number("total") - warmup);
  params.every = every > 0 ? every : 1;
  params.log2_factor =
      std::fmax(-1e9, std::log(call.number("factor", 1)) / std::log(2.0));  // a factor of 0 has no logarithm
  queue.launch("optimizer", "schedule", {1}, 1, params);
}

const Kernel kernels[] = {
    {"adam", prepare_nothing, run_adam, run_adams}, {"sgd", prepare_nothing, run_sgd},
    {"ema", prepare_nothing, run_ema, run_emas},    {"increment", prepare_nothing, run_increment},
    {"schedule", prepare_nothing, run_schedule},
};

}  // namespace

extern const KernelList kOptimizerKernels;
const KernelList kOptimizerKernels = list_of(kernels);

}  // namespace gramian::cuda
