// Parameter updates: adam, sgd, the moving average of batch statistics, the step counter and the learning-rate
// schedule. Called through the table built in table.cpp. The outputs are the persistent tensors themselves, written in
// place. The rule easy to break: lr and step are tensors on the device, read when the update runs; step counts from 0.
#include "cpu/kernels/spans.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

// body(row offsets by view, begin, end): the spans of a set of equally shaped views, flat where all are dense.
template <int N, typename Body>
void for_equal_spans(const KernelCall* call, const View* const (&views)[N], const Body& body) {
  bool flat = true;
  for (const View* v : views) flat = flat && dense(*v);
  const View& shape = *views[0];
  const int64_t rows = flat ? 1 : shape.rows, cols = flat ? shape.rows * shape.cols : shape.cols;
  for_pieces(call->parallel, rows, cols, [&](int64_t r0, int64_t r1, int64_t c0, int64_t c1) {
    for (int64_t r = r0; r < r1; ++r) {
      float* row[N];
      for (int k = 0; k < N; ++k) row[k] = floats_out(*views[k]) + r * views[k]->pitch;
      int64_t i = c0;
      for (; i + W <= c1; i += W) body(row, i, W);
      if (i < c1) body(row, i, (int)(c1 - i));
    }
  });
}

// p, g, m, v, lr, step -> p, m, v (Kingma and Ba 2015, algorithm 1; decoupled: Loshchilov and Hutter 2019).
// p -= lr/(1-beta1^t) * m / (sqrt(v/(1-beta2^t)) + eps), t = step + 1.
void run_adam(const KernelCall* call) {
  const double beta1 = attr(call, "beta1", 0.9), beta2 = attr(call, "beta2", 0.999);
  const double weight_decay = attr(call, "weightDecay"), lr = (double)floats(call->in[4])[0];
  const double t = (double)ints(call->in[5])[0] + 1;
  const bool decoupled = attr(call, "decoupled") != 0;
  const vf keep1 = set1((float)beta1), take1 = set1((float)(1 - beta1));
  const vf keep2 = set1((float)beta2), take2 = set1((float)(1 - beta2));
  const vf rate = set1((float)(lr / (1 - __builtin_pow(beta1, t))));
  const vf correction2 = set1((float)(1 / (1 - __builtin_pow(beta2, t))));
  const vf eps = set1((float)attr(call, "eps", 1e-8));
  const vf added = set1(decoupled ? 0.0f : (float)weight_decay),
           shrink = set1(decoupled ? (float)(lr * weight_decay) : 0);
  const View* const views[] = {&call->out[0], &call->out[1], &call->out[2], &call->in[0],
                               &call->in[1],  &call->in[2],  &call->in[3]};
  for_equal_spans(call, views, [&](float* const* row, int64_t i, int lanes) {
    const vf p = load_lanes(row[3] + i, lanes);
    const vf g = fma(added, p, load_lanes(row[4] + i, lanes));
    const vf m = fma(keep1, load_lanes(row[5] + i, lanes), take1 * g);
    const vf v = fma(keep2, load_lanes(row[6] + i, lanes), take2 * g * g);
    const vf change = fma(shrink, p, rate * m / (vsqrt(v * correction2) + eps));
    store_lanes(row[1] + i, m, lanes);
    store_lanes(row[2] + i, v, lanes);
    store_lanes(row[0] + i, p - change, lanes);
  });
}

// p, g, velocity, lr -> p, velocity.
void run_sgd(const KernelCall* call) {
  const vf momentum = set1((float)attr(call, "momentum")), decay = set1((float)attr(call, "weightDecay"));
  const vf lr = set1(floats(call->in[3])[0]);
  const bool nesterov = attr(call, "nesterov") != 0;
  const View* const views[] = {&call->out[0], &call->out[1], &call->in[0], &call->in[1], &call->in[2]};
  for_equal_spans(call, views, [&](float* const* row, int64_t i, int lanes) {
    const vf p = load_lanes(row[2] + i, lanes);
    const vf g = fma(decay, p, load_lanes(row[3] + i, lanes));
    const vf velocity = fma(momentum, load_lanes(row[4] + i, lanes), g);
    const vf direction = nesterov ? fma(momentum, velocity, g) : velocity;
    store_lanes(row[1] + i, velocity, lanes);
    store_lanes(row[0] + i, fma(-lr, direction, p), lanes);
  });
}

// s, x -> s.
void run_ema(const KernelCall* call) {
  const double momentum = attr(call, "momentum"), scale = attr(call, "scale", 1);
  const vf keep = set1((float)(1 - momentum)), take = set1((float)(momentum * scale));
  map2(call, call->in[0], call->in[1], call->out[0], [&](vf s, vf x) { return fma(keep, s, take * x); });
}

void run_increment(const KernelCall* call) { static_cast<int32_t*>(call->out[0].data)[0] = ints(call->in[0])[0] + 1; }

double scheduled(const KernelCall* call, const char* kind, double step) {
  const double base = attr(call, "base"), warmup = attr(call, "warmup"), factor = attr(call, "factor", 1);
  if (step < warmup) return base * (step + 1) / warmup;
  const double s = step - warmup;
  const double every = attr(call, "every", 1) > 0 ? attr(call, "every", 1) : 1;
  if (strcmp(kind, "step") == 0) return base * __builtin_pow(factor, (double)(int64_t)(s / every));
  if (strcmp(kind, "exponential") == 0) return base * __builtin_pow(factor, s / every);
  if (strcmp(kind, "cosine") == 0) {
    const double length = attr(call, "total") - warmup, floor = attr(call, "floor");
    const double part = s / (length > 1 ? length : 1);
    return floor + (base - floor) * (1 + __builtin_cos(3.14159265358979323846 * (part < 1 ? part : 1))) / 2;
  }
  return base;
}

void prepare_schedule(KernelCall* call) {
  const char* kind = attr_string(call, "kind", "constant");
  const char* const kinds[] = {"constant", "step", "cosine", "exponential"};
  for (const char* known : kinds)
    if (strcmp(kind, known) == 0) return;
  call->error = "schedule's kind must be constant, step, cosine or exponential";
}
void run_schedule(const KernelCall* call) {
  const double step = (double)ints(call->in[0])[0];
  floats_out(call->out[0])[0] = (float)scheduled(call, attr_string(call, "kind", "constant"), step);
}

const Kernel kernels[] = {
    {"adam", prepare_nothing, run_adam},
    {"sgd", prepare_nothing, run_sgd},
    {"ema", prepare_nothing, run_ema},
    {"increment", prepare_nothing, run_increment},
    {"schedule", prepare_schedule, run_schedule},
};

}  // namespace

extern const KernelList kOptimizerKernels;
const KernelList kOptimizerKernels = {kernels, sizeof kernels / sizeof kernels[0]};

}  // namespace gramian::cpu::GRAMIAN_ISA
