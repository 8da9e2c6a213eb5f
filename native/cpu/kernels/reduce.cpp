// reduceSum, reduceMean, reduceMax over any set of axes, and reduceMax's gradient.
// Two walks cover every case: "columns" when the last axis is kept (bias gradients, global average pooling: whole rows
// are added up, vectors across channels) and "rows" when it is reduced (each output is the sum of contiguous runs).
// The rule easy to break: chunks depend on the shape alone. Within a chunk floats are added in short runs; runs and
// chunks are combined in float64, in order.
#include "cpu/kernels/spans.h"
#include "cpu/kernels/strided.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

constexpr int64_t kBlock = 256;  // columns per task
constexpr int64_t kRun = 64;     // rows added in float before they join the float64 sum

struct Reduction {
  Nest<2> kept;     // x, y (or dx's twin); in "columns" the last kept dimension is apart, in `cols`
  Nest<2> reduced;  // x, dx
  bool columns;
  int64_t cols;           // columns: kept last axis; rows: contiguous run
  int64_t outputs;        // product of `kept`
  int64_t runs;           // product of the reduced dimensions (rows: without the contiguous run)
  int64_t chunk, chunks;  // runs per chunk (rows with a long run: elements per chunk)
  bool split_run;         // rows: the chunks cut the contiguous run itself
};

bool is_reduced(const KernelCall* call, int axis) {
  const Attr* axes = find_attr(call, "axes");
  for (int64_t i = 0; axes && i < axes->list_size; ++i)
    if ((int)axes->list[i] == axis) return true;
  return false;
}

// Fills kept and reduced from a full-size view `x`, a reduced view `y` and `other`, full-size too (x itself or dx).
void split_axes(const KernelCall* call, const View& x, const View& y, const View& other, Reduction* r) {
  int64_t sx[kMaxRank], sy[kMaxRank], so[kMaxRank];
  strides_of(x, sx);
  strides_of(y, sy);
  strides_of(other, so);
  const bool keep_dims = y.rank == x.rank;
  const int last = x.rank - 1;
  r->columns = !is_reduced(call, last) && x.shape[last] > 1;
  r->cols = r->columns ? x.shape[last] : 1;
  int axis_y = 0;
  for (int i = 0; i < x.rank; ++i) {
    const bool reduced = is_reduced(call, i);
    const int64_t kept_steps[2] = {sx[i], reduced ? 0 : sy[keep_dims ? i : axis_y]};
    const int64_t reduced_steps[2] = {sx[i], so[i]};
    if (reduced)
      r->reduced.push(x.shape[i], reduced_steps);
    else if (!(r->columns && i == last))
      r->kept.push(x.shape[i], kept_steps);
    axis_y += !reduced;
  }
  if (!r->columns) {
    Nest<2>& nest = r->reduced;
    if (nest.rank == 0 || nest.stride[nest.rank - 1][0] != 1 || nest.stride[nest.rank - 1][1] != 1) nest.push_unit();
    r->cols = nest.shape[nest.rank - 1];
  }
  r->outputs = r->kept.count(r->kept.rank);
  r->runs = r->reduced.count(r->columns ? r->reduced.rank : r->reduced.rank - 1);
}

void prepare_reduce(KernelCall* call) {
  auto* r = params_of<Reduction>(call);
  *r = {};
  const View& x = call->in[0];
  split_axes(call, x, call->out[0], x, r);
  if (r->columns) {
    r->chunk = max64(kRun, 16384 / min64(r->cols, kBlock));
    r->chunks = ceil_div(r->runs, r->chunk);
    call->workspace_bytes = r->chunks > 1 ? r->outputs * r->chunks * r->cols * 8 : 0;
  } else {
    r->split_run = r->cols > 2 * kPiece;
    r->chunk = r->split_run ? kPiece : max64(1, kPiece / r->cols);
    r->chunks = r->split_run ? r->runs * ceil_div(r->cols, kPiece) : ceil_div(r->runs, r->chunk);
    call->workspace_bytes = r->chunks > 1 ? r->outputs * r->chunks * 8 : 0;
  }
  call->variant = r->columns ? "columns" : "rows";
}

struct Sum {
  static constexpr double kStart = 0;
  static inline vf join(vf a, vf b) { return a + b; }
  static inline double join(double a, double b) { return a + b; }
  static inline double fold(double total, vf v) {
    float lanes[W];
    store(lanes, v);
    for (float lane : lanes) total += (double)lane;
    return total;
  }
};
// A NaN on either side stays.
struct Max {
  static constexpr double kStart = -__builtin_inf();
  static inline vf join(vf a, vf b) { return select(b != b, b, vmax(a, b)); }
  static inline double join(double a, double b) {
    const double most = a < b ? b : a;
    return b != b ? b : most;
  }
  static inline double fold(double total, vf v) {
    float lanes[W];
    store(lanes, v);
    for (int half = W / 2; half > 0; half /= 2)
      for (int i = 0; i < half; ++i) {
        const float a = lanes[i], b = lanes[i + half], most = a < b ? b : a;
        lanes[i] = b != b ? b : most;
      }
    return join(total, (double)lanes[0]);
  }
};

// ---------------------------------------------------------------- columns

// sums[c] joins x[offset[r] + c] over r < n, for c < width (<= kBlock).
template <typename Op>
void add_rows(const float* x, const int64_t* offset, int n, int64_t width, double* sums) {
  int64_t c = 0;
  float lanes[4 * W];
  // Folding a run into float64 leaves memory idle, so the same rows of the next run are asked for meanwhile.
  const int64_t ahead = n > 1 ? (offset[1] - offset[0]) * kRun : 0;
  for (; c + 4 * W <= width; c += 4 * W) {
    vf s0 = load(x + offset[0] + c), s1 = load(x + offset[0] + c + W);
    vf s2 = load(x + offset[0] + c + 2 * W), s3 = load(x + offset[0] + c + 3 * W);
    for (int r = 1; r < n; ++r) {
      const float* row = x + offset[r] + c;
      for (int line = 0; line < 4 * W; line += 16) __builtin_prefetch(row + ahead + line);
      s0 = Op::join(s0, load(row));
      s1 = Op::join(s1, load(row + W));
      s2 = Op::join(s2, load(row + 2 * W));
      s3 = Op::join(s3, load(row + 3 * W));
    }
    store(lanes, s0);
    store(lanes + W, s1);
    store(lanes + 2 * W, s2);
    store(lanes + 3 * W, s3);
    for (int i = 0; i < 4 * W; ++i) sums[c + i] = Op::join(sums[c + i], (double)lanes[i]);
  }
  for (; c < width; c += W) {
    const int lanes_left = (int)min64(W, width - c);
    vf s = load_n(x + offset[0] + c, lanes_left);
    for (int r = 1; r < n; ++r) s = Op::join(s, load_n(x + offset[r] + c, lanes_left));
    store(lanes, s);
    for (int i = 0; i < lanes_left; ++i) sums[c + i] = Op::join(sums[c + i], (double)lanes[i]);
  }
}

// One task: columns [c0, c1) of output row `output`, runs [begin, end); sums is indexed from 0.
template <typename Op>
void reduce_columns(const Reduction& r, const float* x, int64_t begin, int64_t end, int64_t width, double* sums) {
  for (int64_t c = 0; c < width; ++c) sums[c] = Op::kStart;
  Cursor<2> at(r.reduced, r.reduced.rank, begin);
  while (begin < end) {
    const int n = (int)min64(kRun, end - begin);
    int64_t offset[kRun];
    for (int i = 0; i < n; ++i, at.next()) offset[i] = at.offset[0];
    add_rows<Op>(x, offset, n, width, sums);
    begin += n;
  }
}

template <typename Op>
void run_columns(const KernelCall* call, const Reduction& r, double scale) {
  const int64_t blocks = ceil_div(r.cols, kBlock), tasks = r.outputs * r.chunks * blocks;
  auto* partial = static_cast<double*>(call->workspace);
  for_groups(call->parallel, tasks, min64(r.cols, kBlock) * min64(r.runs, r.chunk), [&](int64_t t0, int64_t t1) {
    for (int64_t t = t0; t < t1; ++t) {
      const int64_t block = t % blocks, chunk = t / blocks % r.chunks, output = t / blocks / r.chunks;
      const int64_t c0 = block * kBlock, width = min64(kBlock, r.cols - c0);
      const Cursor<2> at(r.kept, r.kept.rank, output);
      double sums[kBlock];
      reduce_columns<Op>(r, floats(call->in[0]) + at.offset[0] + c0, chunk * r.chunk,
                         min64(chunk * r.chunk + r.chunk, r.runs), width, sums);
      if (r.chunks > 1) {
        memcpy(partial + (output * r.chunks + chunk) * r.cols + c0, sums, (size_t)width * sizeof(double));
      } else {
        float* y = floats_out(call->out[0]) + at.offset[1] + c0;
        for (int64_t c = 0; c < width; ++c) y[c] = (float)(sums[c] * scale);
      }
    }
  });
  if (r.chunks == 1) return;
  for_groups(call->parallel, r.outputs * blocks, min64(r.cols, kBlock) * r.chunks, [&](int64_t t0, int64_t t1) {
    for (int64_t t = t0; t < t1; ++t) {
      const int64_t output = t / blocks, c0 = t % blocks * kBlock, width = min64(kBlock, r.cols - c0);
      const double* row = partial + output * r.chunks * r.cols + c0;
      double sums[kBlock];
      memcpy(sums, row, (size_t)width * sizeof(double));
      for (int64_t chunk = 1; chunk < r.chunks; ++chunk)
        for (int64_t c = 0; c < width; ++c) sums[c] = Op::join(sums[c], row[chunk * r.cols + c]);
      float* y = floats_out(call->out[0]) + Cursor<2>(r.kept, r.kept.rank, output).offset[1] + c0;
      for (int64_t c = 0; c < width; ++c) y[c] = (float)(sums[c] * scale);
    }
  });
}

// ---------------------------------------------------------------- rows

// In blocks of 1024, so that no float accumulator takes more than a few dozen terms.
template <typename Op>
double reduce_run(const float* x, int64_t n) {
  double total = Op::kStart;
  for (int64_t begin = 0; begin < n; begin += 1024) {
    const int64_t end = min64(begin + 1024, n);
    int64_t i = begin;
    vf s0 = set1((float)Op::kStart), s1 = s0, s2 = s0, s3 = s0;
    for (; i + 4 * W <= end; i += 4 * W) {
      s0 = Op::join(s0, load(x + i));
      s1 = Op::join(s1, load(x + i + W));
      s2 = Op::join(s2, load(x + i + 2 * W));
      s3 = Op::join(s3, load(x + i + 3 * W));
    }
    for (; i + W <= end; i += W) s0 = Op::join(s0, load(x + i));
    if (i > begin) total = Op::fold(total, Op::join(Op::join(s0, s1), Op::join(s2, s3)));
    for (; i < end; ++i) total = Op::join(total, (double)x[i]);
  }
  return total;
}

// Chunk number `chunk` of one output whose elements begin at x.
template <typename Op>
double reduce_chunk(const Reduction& r, const float* x, int64_t chunk) {
  const int outer = r.reduced.rank - 1;
  if (r.split_run) {
    const int64_t per_run = ceil_div(r.cols, kPiece), begin = chunk % per_run * kPiece;
    const Cursor<2> at(r.reduced, outer, chunk / per_run);
    return reduce_run<Op>(x + at.offset[0] + begin, min64(kPiece, r.cols - begin));
  }
  double total = Op::kStart;
  const int64_t end = min64(r.runs, chunk * r.chunk + r.chunk);
  Cursor<2> at(r.reduced, outer, chunk * r.chunk);
  for (int64_t i = chunk * r.chunk; i < end; ++i, at.next())
    total = Op::join(total, reduce_run<Op>(x + at.offset[0], r.cols));
  return total;
}

template <typename Op>
void run_rows(const KernelCall* call, const Reduction& r, double scale) {
  auto* partial = static_cast<double*>(call->workspace);
  const float* x = floats(call->in[0]);
  float* y = floats_out(call->out[0]);
  for_groups(call->parallel, r.outputs * r.chunks, ceil_div(r.runs * r.cols, r.chunks), [&](int64_t t0, int64_t t1) {
    for (int64_t t = t0; t < t1; ++t) {
      const Cursor<2> at(r.kept, r.kept.rank, t / r.chunks);
      const double total = reduce_chunk<Op>(r, x + at.offset[0], t % r.chunks);
      if (r.chunks > 1)
        partial[t] = total;
      else
        y[at.offset[1]] = (float)(total * scale);
    }
  });
  for (int64_t i = 0; r.chunks > 1 && i < r.outputs; ++i) {
    double total = Op::kStart;
    for (int64_t chunk = 0; chunk < r.chunks; ++chunk) total = Op::join(total, partial[i * r.chunks + chunk]);
    y[Cursor<2>(r.kept, r.kept.rank, i).offset[1]] = (float)(total * scale);
  }
}

template <typename Op>
void reduce(const KernelCall* call, double scale) {
  const auto& r = *params_of<Reduction>(call);
  if (r.columns)
    run_columns<Op>(call, r, scale);
  else
    run_rows<Op>(call, r, scale);
}
void run_sum(const KernelCall* call) { reduce<Sum>(call, 1); }
void run_mean(const KernelCall* call) {
  const View &x = call->in[0], &y = call->out[0];
  reduce<Sum>(call, (double)(y.rows * y.cols) / (double)(x.rows * x.cols));
}
void run_max(const KernelCall* call) { reduce<Max>(call, 1); }

// ---------------------------------------------------------------- gradient of the maximum

struct MaxGradient {
  Reduction r;     // kept: x, dx; reduced: x, dx
  Nest<2> kept_y;  // the same dimensions: dy, y
};

// Made at run: it does not fit in KernelCall::params, and it is a few hundred instructions.
MaxGradient plan_max_grad(const KernelCall* call) {
  MaxGradient p = {};
  const View &dy = call->in[0], &x = call->in[1], &y = call->in[2], &dx = call->out[0];
  int64_t sx[kMaxRank], sdx[kMaxRank], sdy[kMaxRank], sy[kMaxRank];
  strides_of(x, sx);
  strides_of(dx, sdx);
  strides_of(dy, sdy);
  strides_of(y, sy);
  split_axes(call, x, y, dx, &p.r);
  p.r.kept = {};  // its operands are x and dx here, not x and y
  int axis_y = 0;
  for (int i = 0; i < x.rank; ++i) {
    if (is_reduced(call, i)) continue;
    const int j = y.rank == x.rank ? i : axis_y;
    ++axis_y;
    if (p.r.columns && i == x.rank - 1) continue;
    const int64_t steps[2] = {sx[i], sdx[i]}, steps_y[2] = {sdy[j], sy[j]};
    p.r.kept.push(x.shape[i], steps);
    p.kept_y.push(x.shape[i], steps_y);
  }
  return p;
}

// Which of x are the maximum: to a maximum of NaN every NaN is.
inline vi is_max(vf x, vf best) { return (x == best) | ((x != x) & (best != best)); }
inline bool is_max(float x, float best) { return best != best ? x != x : x == best; }

// Columns [c0, c1) of one output row: count the tied maxima of each column, then share dy among them.
void max_grad_columns(const Reduction& r, const float* dy, const float* x, const float* y, float* dx, int64_t width) {
  for (int64_t c = 0; c < width; c += W) {
    const int n = (int)min64(W, width - c);
    const vf best = load_n(y + c, n);
    vf ties = {};
    Cursor<2> at(r.reduced, r.reduced.rank, 0);
    for (int64_t i = 0; i < r.runs; ++i, at.next())
      ties += select(is_max(load_n(x + at.offset[0] + c, n), best), set1(1.0f), vf{});
    const vf share = load_n(dy + c, n) / vmax(ties, set1(1.0f));
    Cursor<2> again(r.reduced, r.reduced.rank, 0);
    for (int64_t i = 0; i < r.runs; ++i, again.next())
      store_n(dx + again.offset[1] + c, select(is_max(load_n(x + again.offset[0] + c, n), best), share, vf{}), n);
  }
}

void max_grad_rows(const Reduction& r, float dy, const float* x, float y, float* dx) {
  const int outer = r.reduced.rank - 1;
  int64_t ties = 0;
  Cursor<2> at(r.reduced, outer, 0);
  for (int64_t i = 0; i < r.runs; ++i, at.next())
    for (int64_t c = 0; c < r.cols; ++c) ties += is_max(x[at.offset[0] + c], y);
  const float share = dy / (float)max64(ties, 1);
  Cursor<2> again(r.reduced, outer, 0);
  for (int64_t i = 0; i < r.runs; ++i, again.next())
    for (int64_t c = 0; c < r.cols; ++c) dx[again.offset[1] + c] = is_max(x[again.offset[0] + c], y) ? share : 0.0f;
}

void run_max_grad(const KernelCall* call) {
  const MaxGradient p = plan_max_grad(call);
  const Reduction& r = p.r;
  const float *dy = floats(call->in[0]), *x = floats(call->in[1]), *y = floats(call->in[2]);
  float* dx = floats_out(call->out[0]);
  const int64_t block = 4 * W, blocks = r.columns ? ceil_div(r.cols, block) : 1;
  for_groups(call->parallel, r.outputs * blocks, r.runs * min64(r.cols, r.columns ? block : r.cols),
             [&](int64_t t0, int64_t t1) {
               for (int64_t t = t0; t < t1; ++t) {
                 const Cursor<2> at(r.kept, r.kept.rank, t / blocks);
                 const Cursor<2> at_y(p.kept_y, p.kept_y.rank, t / blocks);
                 const float *from = x + at.offset[0], *grad = dy + at_y.offset[0], *best = y + at_y.offset[1];
                 float* to = dx + at.offset[1];
                 const int64_t c = t % blocks * block;
                 if (r.columns)
                   max_grad_columns(r, grad + c, from + c, best + c, to + c, min64(block, r.cols - c));
                 else
                   max_grad_rows(r, *grad, from, *best, to);
               }
             });
}

const Kernel kernels[] = {
    {"reduceSum", prepare_reduce, run_sum},
    {"reduceMean", prepare_reduce, run_mean},
    {"reduceMax", prepare_reduce, run_max},
    {"reduceMaxGrad", prepare_nothing, run_max_grad},
};

}  // namespace

extern const KernelList kReduceKernels;
const KernelList kReduceKernels = {kernels, sizeof kernels / sizeof kernels[0]};

}  // namespace gramian::cpu::GRAMIAN_ISA
