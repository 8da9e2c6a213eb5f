// Batch statistics, batch normalisation with a fused activation and its gradients, and row normalisation.
// Called through the table built in table.cpp. x is R rows of C channels; statistics run down the rows.
// The rule easy to break: moments and gradient sums are split into chunks of rows fixed by the shape, each chunk summed
// in float, chunks combined in float64 in order; the pre-activation is recomputed with the forward pass's expression.
#include "cpu/kernels/activation.h"
#include "cpu/kernels/channel_norm.h"
#include "cpu/kernels/moments.h"
#include "cpu/kernels/pixels.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

constexpr int64_t kBlock = 128;  // channels per task

struct Chunks {
  int64_t rows, chunks, blocks;  // rows per chunk, number of chunks, number of channel blocks
};

Chunks chunks_of(const View& x) {
  Chunks c;
  c.rows = min64(512, max64(64, 16384 / min64(x.cols, kBlock)));
  c.chunks = ceil_div(x.rows, c.rows);
  c.blocks = ceil_div(x.cols, kBlock);
  return c;
}

// Two float64 values per chunk and channel.
void prepare_statistics(KernelCall* call, const View& x) {
  Chunks& c = *params_of<Chunks>(call);
  c = chunks_of(x);
  call->workspace_bytes = c.chunks * 2 * x.cols * (int64_t)sizeof(double);
}

// body(first_row, rows, c0, width, first, second): fills first[0..width) and second[0..width) of one chunk.
template <typename Body>
void for_chunks(const KernelCall* call, const Chunks& p, const View& x, const Body& body) {
  auto* partial = static_cast<double*>(call->workspace);
  for_groups(call->parallel, p.chunks * p.blocks, min64(x.rows, p.rows) * min64(x.cols, kBlock),
             [&](int64_t t0, int64_t t1) {
               for (int64_t t = t0; t < t1; ++t) {
                 const int64_t chunk = t / p.blocks, c0 = t % p.blocks * kBlock, r0 = chunk * p.rows;
                 double* first = partial + chunk * 2 * x.cols + c0;
                 body(r0, min64(p.rows, x.rows - r0), c0, min64(kBlock, x.cols - c0), first, first + x.cols);
               }
             });
}

// ---------------------------------------------------------------- moments

void prepare_moments(KernelCall* call) { prepare_statistics(call, call->in[0]); }

void run_moments(const KernelCall* call) {
  const auto& p = *params_of<Chunks>(call);
  const View& x = call->in[0];
  for_chunks(call, p, x, [&](int64_t r0, int64_t rows, int64_t c0, int64_t width, double* mean, double* squares) {
    row_moments(floats(x) + r0 * x.pitch + c0, x.pitch, rows, width, mean, squares);
  });
  const auto* partial = static_cast<const double*>(call->workspace);
  float *out_mean = floats_out(call->out[0]), *out_variance = floats_out(call->out[1]);
  const int64_t block = 32;
  for_groups(call->parallel, ceil_div(x.cols, block), block * p.chunks * 2, [&](int64_t b0, int64_t b1) {
    for (int64_t c0 = b0 * block; c0 < min64(b1 * block, x.cols); c0 += block) {
      const int width = (int)min64(block, x.cols - c0);
      double mean[block] = {}, squares[block] = {};
      for (int64_t k = 0; k < p.chunks; ++k) {
        const double* row = partial + k * 2 * x.cols + c0;
        const double weight = (double)min64(p.rows, x.rows - k * p.rows) / (double)x.rows;
        for (int c = 0; c < width; ++c) mean[c] += weight * row[c];
      }
      for (int64_t k = 0; k < p.chunks; ++k) {
        const double* row = partial + k * 2 * x.cols + c0;
        const double n = (double)min64(p.rows, x.rows - k * p.rows);
        for (int c = 0; c < width; ++c) {
          const double shift = row[c] - mean[c];
          squares[c] += row[x.cols + c] + n * shift * shift;
        }
      }
      for (int c = 0; c < width; ++c) {
        out_mean[c0 + c] = (float)mean[c];
        out_variance[c0 + c] = variance_of(squares[c], (double)x.rows);
      }
    }
  });
}

// ---------------------------------------------------------------- batch normalisation

Channel channel_of(const KernelCall* call, int first, float* memory) {
  return channel_of(call, first, (float)attr(call, "eps", 1e-5), memory);
}

void check_activation(KernelCall* call) {
  const bool known = with_activation(attr_string(call, "activation", "none"), 0, [](auto) {});
  if (!known) call->error = "batchNorm's activation must be none, relu, leakyRelu, elu, tanh or sigmoid";
}

template <typename Body>
void with_call_activation(const KernelCall* call, const Body& body) {
  with_activation(attr_string(call, "activation", "none"), (float)attr(call, "alpha"), body);
}

// y[r, c] = op(row index, column, lanes) for every vector of every row; the inner loop of the three kernels below.
template <typename Op>
void for_row_vectors(const KernelCall* call, const View& y, const Op& op) {
  for_pieces(call->parallel, y.rows, y.cols, [&](int64_t r0, int64_t r1, int64_t c0, int64_t c1) {
    for (int64_t r = r0; r < r1; ++r) {
      float* out = floats_out(y) + r * y.pitch;
      int64_t c = c0;
      for (; c + W <= c1; c += W) store(out + c, op(r, c, W));
      if (c < c1) store_n(out + c, op(r, c, (int)(c1 - c)), (int)(c1 - c));
    }
  });
}

void prepare_batch_norm(KernelCall* call) {
  call->workspace_bytes = call->in[0].cols * 2 * (int64_t)sizeof(float);
  check_activation(call);
}

void run_batch_norm(const KernelCall* call) {
  const View& x = call->in[0];
  const Channel p = channel_of(call, 1, static_cast<float*>(call->workspace));
  with_call_activation(call, [&](auto act) {
    for_row_vectors(call, call->out[0], [&, act](int64_t r, int64_t c, int lanes) {
      const vf d = centred(p, load_lanes(floats(x) + r * x.pitch + c, lanes), c, lanes);
      return act.value(pre_activation(p, d, c, lanes));
    });
  });
}

// Sums of d and d*(x - mean) over the rows of one chunk, d = dy * act'(pre-activation).
template <int G, typename Act>
inline void chunk_gradients(const Act& act, const Channel& p, int64_t c, const float* dy, int64_t dy_pitch,
                            const float* x, int64_t x_pitch, int64_t rows, int lanes, double* dgamma, double* dbeta) {
  vf sum[G] = {}, product[G] = {};
  const int n = G > 1 ? W : lanes;
  for (int64_t r = 0; r < rows; ++r)
    for (int g = 0; g < G; ++g) {
      const int64_t at = c + g * W;
      const vf u = centred(p, load_lanes(x + r * x_pitch + at, n), at, n);
      const vf d = load_lanes(dy + r * dy_pitch + at, n) * act.slope(pre_activation(p, u, at, n));
      sum[g] += d;
      product[g] = fma(d, u, product[g]);
    }
  for (int g = 0; g < G; ++g)
    for (int i = 0; i < n; ++i) {
      dbeta[g * W + i] = (double)sum[g][i];
      dgamma[g * W + i] = (double)product[g][i];
    }
}

void prepare_grad_params(KernelCall* call) {
  prepare_statistics(call, call->in[1]);
  call->workspace_bytes += call->in[1].cols * 2 * (int64_t)sizeof(float);
  check_activation(call);
}

void run_grad_params(const KernelCall* call) {
  const auto& p = *params_of<Chunks>(call);
  const View &dy = call->in[0], &x = call->in[1];
  const auto* partial = static_cast<const double*>(call->workspace);
  auto* memory = reinterpret_cast<float*>(static_cast<double*>(call->workspace) + p.chunks * 2 * x.cols);
  const Channel channel = channel_of(call, 2, memory);
  with_call_activation(call, [&](auto act) {
    for_chunks(call, p, x, [&](int64_t r0, int64_t rows, int64_t c0, int64_t width, double* dgamma, double* dbeta) {
      const float *from = floats(x) + r0 * x.pitch, *grad = floats(dy) + r0 * dy.pitch;
      int64_t c = 0;
      for (; c + 4 * W <= width; c += 4 * W)
        chunk_gradients<4>(act, channel, c0 + c, grad, dy.pitch, from, x.pitch, rows, W, dgamma + c, dbeta + c);
      for (; c < width; c += W)
        chunk_gradients<1>(act, channel, c0 + c, grad, dy.pitch, from, x.pitch, rows, (int)min64(W, width - c),
                           dgamma + c, dbeta + c);
    });
  });
  const int64_t block = 32;
  for_groups(call->parallel, ceil_div(x.cols, block), block * p.chunks * 2, [&](int64_t b0, int64_t b1) {
    for (int64_t c = b0 * block; c < min64(b1 * block, x.cols); ++c) {
      double dgamma = 0, dbeta = 0;
      for (int64_t k = 0; k < p.chunks; ++k) {
        dgamma += partial[k * 2 * x.cols + c];
        dbeta += partial[(k * 2 + 1) * x.cols + c];
      }
      floats_out(call->out[0])[c] = (float)(dgamma * (double)channel.istd[c]);
      floats_out(call->out[1])[c] = (float)dbeta;
    }
  });
}

void prepare_grad_input(KernelCall* call) {
  call->workspace_bytes = call->in[1].cols * 4 * (int64_t)sizeof(float);
  check_activation(call);
}

// training: dx = scale*d - scale*dbeta/R - (x - mean)*scale*istd*dgamma/R; inference: dx = scale*d. A ninth input is
// added (native/plan/fuse_residual.cpp). Element by element, so dx may lie where dy or the ninth input does.
void run_grad_input(const KernelCall* call) {
  const View &dy = call->in[0], &x = call->in[1];
  const int64_t C = x.cols;
  auto* memory = static_cast<float*>(call->workspace);
  const Channel p = channel_of(call, 2, memory);
  const bool training = attr(call, "training") != 0;
  float *shift = memory + 2 * C, *slope = memory + 3 * C;
  for (int64_t c = 0; c < C; ++c) {
    const double per_row = training ? (double)p.scale[c] / (double)x.rows : 0.0;
    shift[c] = (float)(per_row * (double)floats(call->in[7])[c]);
    slope[c] = (float)(per_row * (double)p.istd[c] * (double)floats(call->in[6])[c]);
  }
  with_call_activation(call, [&](auto act) {
    const auto gradient = [&, act](int64_t r, int64_t c, int lanes) {
      const vf u = centred(p, load_lanes(floats(x) + r * x.pitch + c, lanes), c, lanes);
      const vf d = load_lanes(floats(dy) + r * dy.pitch + c, lanes) * act.slope(pre_activation(p, u, c, lanes));
      const vf direct = fma(d, load_lanes(p.scale + c, lanes), -load_lanes(shift + c, lanes));
      return fma(-u, load_lanes(slope + c, lanes), direct);
    };
    if (call->in_count == 8) return for_row_vectors(call, call->out[0], gradient);
    const View& other = call->in[8];
    for_row_vectors(call, call->out[0], [&](int64_t r, int64_t c, int lanes) {
      return gradient(r, c, lanes) + load_lanes(floats(other) + r * other.pitch + c, lanes);
    });
  });
}

// ---------------------------------------------------------------- the gradient by the input in two parts

// What a batchNorm's mean and variance subtract from the gradient by its input is linear in x, channel by channel:
//   dx = scale*d - shift - slope*(x - mean),   shift = scale*dbeta/R,   slope = scale*istd*dgamma/R.
// Of several batchNorms of one x the first terms are summed as they are made, and the others as vectors; they are
// subtracted once (native/plan/defer_correction.cpp).

// in: variance, gamma, dgamma, dbeta [C] (, shift, slope to add to); out: shift, slope [C].
void run_grad_terms(const KernelCall* call) {
  const double eps = attr(call, "eps", 1e-5), rows = attr(call, "rows");
  for (int64_t c = 0; c < call->in[0].cols; ++c) {
    const double istd = 1.0 / __builtin_sqrt((double)floats(call->in[0])[c] + eps);
    const double per_row = (double)floats(call->in[1])[c] * istd / rows;
    double shift = per_row * (double)floats(call->in[3])[c], slope = per_row * istd * (double)floats(call->in[2])[c];
    if (call->in_count > 4) shift += (double)floats(call->in[4])[c], slope += (double)floats(call->in[5])[c];
    floats_out(call->out[0])[c] = (float)shift;
    floats_out(call->out[1])[c] = (float)slope;
  }
}

// in: sum, x, mean, shift, slope; out: dx = sum - shift - slope*(x - mean), which may lie where sum does.
// Where rows are a few channels of wider ones, no processor guesses what is read next: rows are fetched ahead here.
void run_grad_correct(const KernelCall* call) {
  const View &sum = call->in[0], &x = call->in[1], &dx = call->out[0];
  const float *mean = floats(call->in[2]), *shift = floats(call->in[3]), *slope = floats(call->in[4]);
  constexpr int64_t kTile = 4096, kAhead = 16, kRows = 16;  // kRows rows of any width begin on a line
  const int64_t pitch = round_up(x.cols, W), piece = max64(1, kPiece / x.cols / kRows) * kRows;
  const bool tiled = large(dx) && pitch * kRows <= kTile && sum.data != dx.data;
  const int64_t some = tiled ? kTile / pitch / kRows * kRows : piece;
  const auto correct = [&](int64_t r, float* to) {
    const float *from = floats(sum) + r * sum.pitch, *at = floats(x) + r * x.pitch;
    for (int64_t c = 0; c < x.cols; c += W) {
      const int lanes = (int)min64(W, x.cols - c);
      __builtin_prefetch(from + kAhead * sum.pitch + c, 0, 3);
      __builtin_prefetch(at + kAhead * x.pitch + c, 0, 3);
      const vf u = load_lanes(at + c, lanes) - load_lanes(mean + c, lanes);
      const vf direct = load_lanes(from + c, lanes) - load_lanes(shift + c, lanes);
      store_lanes(to + c, fma(-u, load_lanes(slope + c, lanes), direct), lanes);
    }
  };
  parallel_for(call->parallel, ceil_div(x.rows, piece), [&](int64_t i) {
    alignas(64) float tile[kTile];
    const int64_t end = min64(x.rows, (i + 1) * piece);
    for (int64_t first = i * piece, last = 0; first < end; first = last) {
      last = min64(end, first + some);
      const Pixels out = tiled ? Pixels{tile, pitch} : pixels_of(dx, first);
      for (int64_t r = first; r < last; ++r) correct(r, out.pixel(r - first));
      if (tiled) put_rows(out, dx, first, last - first);
    }
    stream_fence();
  });
}

// ---------------------------------------------------------------- row normalisation

// Sum of a[i] * b[i], in blocks so that no float accumulator takes many terms.
inline double dot(const float* a, const float* b, int64_t n) {
  double total = 0;
  for (int64_t begin = 0; begin < n; begin += 1024) {
    const int64_t end = min64(begin + 1024, n);
    vf s0 = {}, s1 = {};
    int64_t i = begin;
    for (; i + 2 * W <= end; i += 2 * W) {
      s0 = fma(load(a + i), load(b + i), s0);
      s1 = fma(load(a + i + W), load(b + i + W), s1);
    }
    for (; i + W <= end; i += W) s0 = fma(load(a + i), load(b + i), s0);
    total += (double)hsum(s0 + s1);
    for (; i < end; ++i) total += (double)a[i] * (double)b[i];
  }
  return total;
}

void run_row_normalize(const KernelCall* call) {
  const View &z = call->in[0], &u = call->out[0];
  const double eps = attr(call, "eps", 1e-8);
  for_groups(call->parallel, z.rows, z.cols * 2, [&](int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; ++r) {
      const float* from = floats(z) + r * z.pitch;
      float* to = floats_out(u) + r * u.pitch;
      const double norm = __builtin_sqrt(dot(from, from, z.cols));
      const float factor = (float)(1.0 / (norm < eps ? eps : norm));
      for (int64_t i = 0; i < z.cols; ++i) to[i] = from[i] * factor;
    }
  });
}

// With u = z/norm: dz = (dy - u (u.dy)) / norm = dy/norm - z (z.dy)/norm^3.
void run_row_normalize_grad(const KernelCall* call) {
  const View &dy = call->in[0], &z = call->in[1], &dz = call->out[0];
  const double eps = attr(call, "eps", 1e-8);
  for_groups(call->parallel, z.rows, z.cols * 3, [&](int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; ++r) {
      const float *grad = floats(dy) + r * dy.pitch, *from = floats(z) + r * z.pitch;
      float* to = floats_out(dz) + r * dz.pitch;
      const double norm = __builtin_sqrt(dot(from, from, z.cols));
      if (!(norm > 0) || norm < eps) {
        for (int64_t i = 0; i < z.cols; ++i) to[i] = 0;
        continue;
      }
      const float direct = (float)(1.0 / norm);
      const float along = (float)(dot(grad, from, z.cols) / norm / norm);
      for (int64_t i = 0; i < z.cols; ++i) to[i] = (grad[i] - from[i] * along) * direct;
    }
  });
}

const Kernel kernels[] = {
    {"moments", prepare_moments, run_moments},
    {"batchNorm", prepare_batch_norm, run_batch_norm},
    {"batchNormGradParams", prepare_grad_params, run_grad_params},
    {"batchNormGradInput", prepare_grad_input, run_grad_input},
    {"batchNormGradTerms", prepare_nothing, run_grad_terms},
    {"batchNormGradCorrect", prepare_nothing, run_grad_correct},
    {"rowNormalize", prepare_nothing, run_row_normalize},
    {"rowNormalizeGrad", prepare_nothing, run_row_normalize_grad},
};

}  // namespace

extern const KernelList kBatchNormKernels;
const KernelList kBatchNormKernels = {kernels, sizeof kernels / sizeof kernels[0]};

}  // namespace gramian::cpu::GRAMIAN_ISA
