// The backward of a unit's front, batchNorm -> activation -> depthwise 3x3, in one pass over x: the filter's gradient,
// those of gain and offset and, under back-propagation, the gradient of the pre-activation. Made by
// native/plan/fuse_backward.cpp from conv2dGradInput, conv2dGradFilter and batchNormGradParams, and avgPoolGrad where
// the features were pooled, so that neither the expanded gradient nor the gradient of the activation is ever written.
// in: dy [N,OH,OW,C] or, pooled, [N,PH,PW,C]; w [3,3,1,C]; x [N,H,W,C]; mean, variance, gamma, beta [C]. out: dw
// [3,3,1,C], dgamma [C], dbeta [C], and with storeGradient dz [N,H,W,C] = da * act'(pre).
// With pointwise a last input, the filter [1,1,C,O] of the pointwise convolution that followed: dy [N,OH,OW,O] is then
// the gradient of its output, and is multiplied by the filter's transpose a tile at a time. With addTo a last input,
// other [N,H,W,C]: out comes other + dz * gamma / sqrt(variance + eps) instead of dz. A row of x meets up to three rows
// of dy. Those that are equal (a pooled gradient is constant down a cell) are taken as one: its taps'
// weights are added beforehand, its products are made once. The rule easy to break: images are summed in chunks fixed
// by the batch and joined by a fixed tree.
#include "cpu/kernels/depthwise_row.h"
#include "cpu/kernels/tile_product.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

constexpr int kSets = 8;                       // subsets of the three taps down a column
constexpr int kSetFloats = kSets * 48;         // per 16 channels: [subset][three taps across][16]
constexpr int kBlockFloats = kSetFloats + 32;  // ... and then sum t*(x-mean), sum t
constexpr int kRing = 4;                       // more than the rows of dy one row of x meets

struct Params {
  int64_t stride_h, stride_w, top, left;  // of the turned correlation: dx(i) reads spread dy(i - top ..)
  int64_t out_h, out_w;                   // of dy as the convolution saw it
  int64_t pool_h, pool_w, pool_top, pool_left;
  bool pooled, store, stream, pointwise, add;
  TileProduct product;
  int64_t tile_rows, tile_floats;
  int64_t height, width, channels, lanes, columns, blocks;
  int64_t chunks, partial_floats, slot_floats;
  Window tables;  // channels and lanes, for make_prologue
  // Workspace, in floats from its start; a chunk's sums and rows are together.
  int64_t prologue_at, column_at, cells_at, packed_at, chunks_at;
};

void prepare(KernelCall* call) {
  Params* p = params_of<Params>(call);
  const View &dy = call->in[0], &x = call->in[2];
  p->stride_h = (int64_t)attr(call, "strideH", 1), p->stride_w = (int64_t)attr(call, "strideW", 1);
  p->top = 2 - (int64_t)attr(call, "padTop"), p->left = 2 - (int64_t)attr(call, "padLeft");
  p->pool_h = (int64_t)attr(call, "poolKernelH"), p->pool_w = (int64_t)attr(call, "poolKernelW");
  p->pool_top = (int64_t)attr(call, "poolPadTop"), p->pool_left = (int64_t)attr(call, "poolPadLeft");
  p->pooled = p->pool_h > 0;
  p->store = attr(call, "storeGradient") != 0;
  p->add = attr(call, "addTo") != 0;
  p->stream = p->store && streamable_rows(call->out[3]) && streamable_dense(call->out[3]);
  p->out_h = p->pooled ? (int64_t)attr(call, "outHeight") : dy.shape[1];
  p->out_w = p->pooled ? (int64_t)attr(call, "outWidth") : dy.shape[2];
  p->height = x.shape[1], p->width = x.shape[2], p->channels = x.cols;
  p->lanes = round_up(x.cols, 16), p->blocks = p->lanes / 16, p->columns = p->width + 2;
  p->tables = {};
  p->tables.channels = p->channels, p->tables.lanes = p->lanes, p->tables.multiplier = 1;
  p->chunks = min64(x.shape[0], kMaxChunks);
  p->partial_floats = p->blocks * kBlockFloats;
  p->pointwise = attr(call, "pointwise") != 0;
  p->product = tile_product(call->precision, dy.cols, p->channels);
  p->tile_rows = min64(rows_of_tile(p->out_w, p->lanes), ceil_div(x.shape[0], p->chunks) * p->out_h);
  p->tile_floats = p->pointwise ? p->tile_rows * p->out_w * p->lanes + W : 0;
  const int64_t rows = kRing * p->columns + p->width + (p->store && !p->stream ? p->width : 0);
  p->slot_floats = round_up(p->partial_floats + rows * p->lanes + p->tile_floats, 16);
  p->prologue_at = p->partial_floats;  // the first block holds the filter's subsets
  p->column_at = p->prologue_at + 3 * p->lanes;
  p->cells_at = p->column_at + round_up(2 * p->columns, 16);
  p->packed_at = p->cells_at + (p->pooled ? round_up(dy.rows * dy.cols, 16) : 0);
  p->chunks_at = p->packed_at + (p->pointwise ? packed_floats(p->product) : 0);
  call->workspace_bytes = 4 * (p->chunks_at + p->chunks * p->slot_floats);
  call->variant = p->pointwise ? "pointwise" : p->pooled ? "pooled" : "dense";
}

// ---------------------------------------------------------------- tables

// The turned filter summed over every subset of its rows.
void fill_filter(const KernelCall* call, const Params& p, float* table) {
  const View& w = call->in[1];
  zero_floats(table, p.partial_floats);
  for (int64_t c = 0; c < p.channels; ++c)
    for (int set = 1; set < kSets; ++set)
      for (int q = 0; q < 3; ++q) {
        float sum = 0;
        for (int row = 0; row < 3; ++row)
          if (set >> row & 1) sum += floats(w)[((2 - row) * 3 + 2 - q) * w.pitch + c];
        table[c / 16 * kBlockFloats + (set * 3 + q) * 16 + c % 16] = sum;
      }
}

// column[t]: which column (or cell) of dy staged column t holds, -1 for zeros.
void fill_columns(const Params& p, int64_t* column) {
  for (int64_t t = 0; t < p.columns; ++t) {
    const int64_t spread = t - p.left, ox = spread / p.stride_w;
    const bool inside = spread >= 0 && spread % p.stride_w == 0 && ox < p.out_w;
    column[t] = !inside ? -1 : p.pooled ? (ox + p.pool_left) / p.pool_w : ox;
  }
}

// Cells of the pooled gradient divided by the number of map cells each one is the mean of.
void scale_cells(const KernelCall* call, const Params& p, float* cells) {
  const View& dy = call->in[0];
  const int64_t height = dy.shape[1], width = dy.shape[2];
  const auto inside = [](int64_t cell, int64_t size, int64_t pad, int64_t extent) {
    return min64((cell + 1) * size - pad, extent) - max64(cell * size - pad, 0);
  };
  parallel_for(call->parallel, dy.shape[0] * height, [&](int64_t i) {
    const int64_t rows = inside(i % height, p.pool_h, p.pool_top, p.out_h);
    for (int64_t j = 0; j < width; ++j) {
      const float count = (float)(rows * inside(j, p.pool_w, p.pool_left, p.out_w));
      const float* from = floats(dy) + (i * width + j) * dy.pitch;
      float* to = cells + (i * width + j) * dy.cols;
      for (int64_t c = 0; c < dy.cols; c += W) {
        const int lanes = (int)min64(W, dy.cols - c);
        store_lanes(to + c, load_lanes(from + c, lanes) / count, lanes);
      }
    }
  });
}

// ---------------------------------------------------------------- rows of dy

// The different rows of dy that one row of x meets, and the taps (as a subset) through which it meets each.
struct Meeting {
  int count;
  int64_t row[3];  // of dy, or of its cells
  int set[3];

  bool same(const Meeting& other) const {
    if (count != other.count) return false;
    for (int i = 0; i < count; ++i)
      if (row[i] != other.row[i] || set[i] != other.set[i]) return false;
    return true;
  }
};

Meeting meeting_of(const Params& p, int64_t iy) {
  Meeting meeting = {};
  for (int tap = 0; tap < 3; ++tap) {
    const int64_t spread = iy + tap - p.top, oy = spread / p.stride_h;
    if (spread < 0 || spread % p.stride_h != 0 || oy >= p.out_h) continue;
    const int64_t row = p.pooled ? (oy + p.pool_top) / p.pool_h : oy;
    if (meeting.count == 0 || meeting.row[meeting.count - 1] != row) meeting.row[meeting.count++] = row;
    meeting.set[meeting.count - 1] |= 1 << tap;
  }
  return meeting;
}

// Row `src` as [blocks][columns][16].
void stage(const Params& p, const int64_t* column, const float* src, int64_t pitch, float* dst) {
  const int64_t block = p.columns * 16;
  for (int64_t t = 0; t < p.columns; ++t, dst += 16) {
    const float* from = src + max64(0, column[t]) * pitch;
    int64_t c = 0;
    for (; c + 16 <= p.channels; c += 16)
      for (int v = 0; v < 16; v += W) store(dst + c / 16 * block + v, column[t] < 0 ? vf{} : load(from + c + v));
    for (; c < p.channels; c += W) {
      const int lanes = (int)min64(W, p.channels - c);
      store(dst + c / 16 * block + c % 16, column[t] < 0 ? vf{} : load_n(from + c, lanes));
    }
  }
}

// ---------------------------------------------------------------- one row of x

// Everything one block of 16 channels of a row needs.
struct Block {
  int count;
  const float* row[3];     // staged rows of dy at this block
  const float* filter[3];  // of their subsets, at this block
  float* sums[3];
  float* da;                         // [width][16]
  const float *x, *ahead;            // ahead: the row of x after this one
  const float *other, *other_ahead;  // null when nothing is added to
  float* dz;                         // a row with room for whole blocks; null when not stored
  bool stream;
  int64_t width, pitch, dz_pitch, other_pitch, lanes;
  const float *mean, *scale, *beta;  // tables at this block
  float* moments;                    // sum t*(x-mean), sum t
};

template <int T>
inline void correlate(const Block& b, int64_t ix, int v) {
  vf sum[T];
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) sum[t] = vf{};
  const float *row[3], *filter[3];
  for (int r = 0; r < b.count; ++r) row[r] = b.row[r] + ix * 16 + v, filter[r] = b.filter[r] + v;
  if (b.count == 1) add_columns<1, 1, T>(row, filter, sum);
  if (b.count == 2) add_columns<1, 2, T>(row, filter, sum);
  if (b.count == 3) add_columns<1, 3, T>(row, filter, sum);
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) store(b.da + (ix + t) * 16 + v, sum[t]);
}

// The gradient of the activation along the row.
void correlate_block(const Block& b) {
  for (int v = 0; v < 16; v += W) {
    int64_t ix = 0;
    for (; ix + kTile <= b.width; ix += kTile) correlate<kTile>(b, ix, v);
    for (; ix < b.width; ++ix) correlate<1>(b, ix, v);
  }
}

template <int R, typename Activation>
void add_block(const Block& b, const Activation& act) {
  for (int v = 0; v < 16 && v < b.lanes; v += W) {
    const int lanes = (int)min64(W, b.lanes - v);
    const vf mean = load(b.mean + v), scale = load(b.scale + v), beta = load(b.beta + v);
    vf sum[R > 0 ? R : 1][3] = {};
    vf gamma_sum = {}, beta_sum = {};
    for (int64_t ix = 0; ix < b.width; ++ix) {
      if (v == 0) __builtin_prefetch(b.ahead + ix * b.pitch, 0, 2);
      if (v == 0 && b.other) __builtin_prefetch(b.other_ahead + ix * b.other_pitch, 0, 2);
      const vf centred = load_lanes(b.x + ix * b.pitch + v, lanes) - mean;
      const vf pre = fma(centred, scale, beta), a = act.value(pre);
#pragma GCC unroll 3
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 3
        for (int q = 0; q < 3; ++q) sum[r][q] = fma(a, load(b.row[r] + (ix + q) * 16 + v), sum[r][q]);
      const vf t = load(b.da + ix * 16 + v) * act.slope(pre);
      gamma_sum = fma(t, centred, gamma_sum);
      beta_sum = beta_sum + t;
      if (!b.dz) continue;
      const vf dz = b.other ? fma(t, scale, load_lanes(b.other + ix * b.other_pitch + v, lanes)) : t;
      if (b.stream)
        stream(b.dz + ix * b.dz_pitch, dz);
      else
        store(b.dz + ix * b.dz_pitch + v, dz);
    }
    const auto add = [](float* total, vf more) { store(total, load(total) + more); };
#pragma GCC unroll 3
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 3
      for (int q = 0; q < 3; ++q) add(b.sums[r] + q * 16 + v, sum[r][q]);
    add(b.moments + v, gamma_sum);
    add(b.moments + 16 + v, beta_sum);
  }
}

// ---------------------------------------------------------------- a chunk of images

struct Chunk {
  const KernelCall* call;
  const Params* p;
  const float* filter;
  const Prologue* prologue;
  const int64_t* column;
  const float *cells, *packed;
  float *sums, *ring, *da, *dz, *tile;
  int64_t rows_end;              // of dy in this chunk, all images counted through
  int64_t tile_begin, tile_end;  // rows that the tile holds
};

// Row `row` of dy (all images counted through) behind the pointwise convolution; rows come in order.
Pixels multiplied_row(Chunk& chunk, int64_t row) {
  const Params& p = *chunk.p;
  const Pixels tile{chunk.tile, p.lanes};
  while (row >= chunk.tile_end) {
    chunk.tile_begin = chunk.tile_end;
    chunk.tile_end = min64(chunk.tile_begin + p.tile_rows, chunk.rows_end);
    multiply_tile(p.product, chunk.packed, pixels_of(chunk.call->in[0], chunk.tile_begin * p.out_w),
                  (chunk.tile_end - chunk.tile_begin) * p.out_w, tile, true);
  }
  return {tile.pixel((row - chunk.tile_begin) * p.out_w), tile.pitch};
}

// The rows of dy, or of its cells, as stage() takes them.
Pixels source_row(Chunk& chunk, int64_t row) {
  const View& dy = chunk.call->in[0];
  if (chunk.p->pointwise) return multiplied_row(chunk, row);
  if (!chunk.p->pooled) return pixels_of(dy, row * dy.shape[2]);
  return {const_cast<float*>(chunk.cells) + row * dy.shape[2] * dy.cols, dy.cols};
}

const float* staged_row(Chunk& chunk, int64_t n, int64_t row, int64_t* held) {
  const Params& p = *chunk.p;
  float* const place = chunk.ring + row % kRing * p.columns * p.lanes;
  if (held[row % kRing] == row) return place;
  held[row % kRing] = row;
  const Pixels from = source_row(chunk, n * chunk.call->in[0].shape[1] + row);
  stage(p, chunk.column, from.data, from.pitch, place);
  return place;
}

template <typename Activation>
void add_image(Chunk& chunk, int64_t n, const Activation& act) {
  const Params& p = *chunk.p;
  const View& x = chunk.call->in[2];
  int64_t held[kRing] = {-1, -1, -1, -1};
  Meeting last = {};
  last.count = -1;
  for (int64_t iy = 0; iy < p.height; ++iy) {
    const Meeting meeting = meeting_of(p, iy);
    const bool known = meeting.same(last);
    last = meeting;
    const float* rows[3] = {};
    for (int i = 0; i < meeting.count; ++i) rows[i] = staged_row(chunk, n, meeting.row[i], held);
    const int64_t pixel = (n * p.height + iy) * p.width;
    for (int64_t k = 0; k < p.blocks; ++k) {
      const float* const from = floats(x) + pixel * x.pitch + k * 16;
      Block b = {};
      b.count = meeting.count;
      for (int i = 0; i < meeting.count; ++i) {
        b.row[i] = rows[i] + k * p.columns * 16;
        b.filter[i] = chunk.filter + k * kBlockFloats + meeting.set[i] * 48;
        b.sums[i] = chunk.sums + k * kBlockFloats + meeting.set[i] * 48;
      }
      b.da = chunk.da + k * p.width * 16;
      b.x = from, b.ahead = from + p.width * x.pitch;
      b.width = p.width, b.pitch = x.pitch, b.lanes = p.channels - k * 16;
      if (p.store) {
        const View& dz = chunk.call->out[3];
        b.dz = (p.stream ? floats_out(dz) + pixel * dz.pitch : chunk.dz) + k * 16;
        b.dz_pitch = p.stream ? dz.pitch : p.lanes, b.stream = p.stream;
      }
      if (p.add) {
        const View& other = chunk.call->in[chunk.call->in_count - 1];
        b.other = floats(other) + pixel * other.pitch + k * 16;
        b.other_pitch = other.pitch, b.other_ahead = b.other + p.width * other.pitch;
      }
      b.mean = chunk.prologue->mean + k * 16, b.scale = chunk.prologue->scale + k * 16;
      b.beta = chunk.prologue->beta + k * 16;
      b.moments = chunk.sums + k * kBlockFloats + kSetFloats;
      if (!known) correlate_block(b);
      if (b.count == 0) add_block<0>(b, act);
      if (b.count == 1) add_block<1>(b, act);
      if (b.count == 2) add_block<2>(b, act);
      if (b.count == 3) add_block<3>(b, act);
    }
    if (p.store && !p.stream) put_rows({chunk.dz, p.lanes}, chunk.call->out[3], pixel, p.width);
  }
}

// ---------------------------------------------------------------- the call

// Joins the chunks pairwise and writes the results; dgamma's sum still lacks the factor 1/sqrt(variance + eps).
void finish(const KernelCall* call, const Params& p, float* partial) {
  for (int64_t step = 1; step < p.chunks; step *= 2)
    parallel_for(call->parallel, ceil_div(p.chunks - step, 2 * step), [&](int64_t pair) {
      float *to = partial + pair * 2 * step * p.slot_floats, *from = to + step * p.slot_floats;
      for (int64_t i = 0; i < p.partial_floats; i += W) store(to + i, load(to + i) + load(from + i));
    });
  const View& dw = call->out[0];
  const double eps = attr(call, "bnEps");
  for (int64_t c = 0; c < p.channels; ++c) {
    const float* sums = partial + c / 16 * kBlockFloats + c % 16;
    for (int row = 0; row < 3; ++row)
      for (int q = 0; q < 3; ++q) {
        float sum = 0;
        for (int set = 1; set < kSets; ++set)
          if (set >> row & 1) sum += sums[(set * 3 + q) * 16];
        floats_out(dw)[((2 - row) * 3 + 2 - q) * dw.pitch + c] = sum;
      }
    const double deviation = __builtin_sqrt((double)floats(call->in[4])[c] + eps);
    floats_out(call->out[1])[c] = (float)((double)sums[kSetFloats] / deviation);
    floats_out(call->out[2])[c] = sums[kSetFloats + 16];
  }
}

void run(const KernelCall* call) {
  const Params& p = *params_of<Params>(call);
  auto* const base = static_cast<float*>(call->workspace);
  auto* const column = reinterpret_cast<int64_t*>(base + p.column_at);
  float* const chunks = base + p.chunks_at;
  fill_filter(call, p, base);
  const Prologue prologue = make_prologue(call, p.tables, base + p.prologue_at, 3);
  fill_columns(p, column);
  if (p.pointwise) pack_filter(call->parallel, p.product, call->in[7], true, base + p.packed_at);
  if (p.pooled) scale_cells(call, p, base + p.cells_at);
  const int64_t images = call->in[2].shape[0];
  with_activation(prologue.activation, prologue.alpha, [&](auto act) {
    parallel_for(call->parallel, p.chunks, [&](int64_t i) {
      float* const sums = chunks + i * p.slot_floats;
      float* const ring = sums + p.partial_floats;
      zero_floats(sums, p.partial_floats);
      const int64_t first = i * images / p.chunks, last = (i + 1) * images / p.chunks;
      Chunk chunk = {};
      chunk.call = call, chunk.p = &p, chunk.filter = base, chunk.prologue = &prologue, chunk.column = column;
      chunk.cells = base + p.cells_at, chunk.packed = base + p.packed_at;
      chunk.sums = sums, chunk.ring = ring;
      chunk.da = ring + kRing * p.columns * p.lanes, chunk.dz = chunk.da + p.width * p.lanes;
      chunk.tile = chunk.dz + (p.store && !p.stream ? p.width * p.lanes : 0);
      chunk.tile_begin = chunk.tile_end = first * p.out_h, chunk.rows_end = last * p.out_h;
      for (int64_t n = first; n < last; ++n) add_image(chunk, n, act);
      stream_fence();
    });
  });
  finish(call, p, chunks);
}

constexpr Kernel kKernels[] = {{"depthwiseBackward", prepare, run}};

}  // namespace

extern const KernelList kDepthwiseBackwardKernels;
const KernelList kDepthwiseBackwardKernels = {kKernels, 1};

}  // namespace gramian::cpu::GRAMIAN_ISA
