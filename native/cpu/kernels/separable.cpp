// A whole separable convolution in one pass: [batchNorm -> activation ->] depthwise -> pointwise, the depthwise result
// living in a tile that stays in the cache. On the way it can leave what others read: the depthwise result itself, its
// average over pooling cells, and mean and variance of the output. Made by native/plan/fuse_separable.cpp.
// in: x [N,H,W,C], depthwise filter [kh,kw,1,C], (mean, variance, gamma, beta [C] with bnEps,) pointwise filter
// [1,1,C,O], what finish.h names. out: y [N,OH,OW,O], then as the attributes say: storeDepthwise u [N,OH,OW,C];
// poolKernelH p [N,PH,PW,C]; moments mean [O], variance [O]. The rule easy to break: pieces and tiles are functions of
// the shape; u, p and y have the bits of the ops they replace.
#include "cpu/kernels/depthwise_slide.h"
#include "cpu/kernels/finish.h"
#include "cpu/kernels/moments.h"
#include "cpu/kernels/tile_product.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

struct Pool {
  int64_t h, w, top, left, rows, cols;  // window, padding, cells
};

struct Params {
  Window window;
  Pool pool;
  TileProduct product;
  int64_t outputs;                     // O
  int32_t u_at, pool_at, moments_at;   // which output, -1 for none
  int64_t granules, granule_rows;      // pieces begin at multiples of a granule
  int64_t pieces, tile_rows, u_pitch;  // u_pitch of the tile
  // Workspace, in floats.
  int64_t table_floats, statistics_floats, slot_floats;
  int64_t y_floats;  // of a tile of y, 0 when the product writes y itself
};

int64_t row_floats(const Params& p) { return p.pool_at < 0 ? 0 : p.pool.cols * round_up(p.window.channels, 16); }
int64_t tile_floats(const Params& p) { return (p.tile_rows * p.window.out_w + 1) * p.u_pitch + W; }
// Float64 values of one piece: rows seen, then mean and squares; and those of a tile.
int64_t piece_doubles(const Params& p) { return p.moments_at < 0 ? 0 : 2 * p.outputs; }

void choose_outputs(KernelCall* call, Params* p) {
  int32_t next = 1;
  p->u_at = attr(call, "storeDepthwise") != 0 ? next++ : -1;
  p->pool_at = attr(call, "poolKernelH") > 0 ? next++ : -1;
  p->moments_at = attr(call, "moments") != 0 ? next : -1;
  if (p->pool_at < 0) return;
  const View& cells = call->out[p->pool_at];
  p->pool = {(int64_t)attr(call, "poolKernelH"),
             (int64_t)attr(call, "poolKernelW"),
             (int64_t)attr(call, "poolPadTop"),
             (int64_t)attr(call, "poolPadLeft"),
             cells.shape[1],
             cells.shape[2]};
}

void prepare(KernelCall* call) {
  Params* p = params_of<Params>(call);
  const View &x = call->in[0], &y = call->out[0];
  choose_outputs(call, p);
  p->window = forward_window(conv_shape(call, x, call->in[1], y), Layout::blocked);
  const Window& w = p->window;
  p->outputs = y.cols;
  // A pooling cell must not be cut, so pooled pieces are whole images.
  p->granule_rows = p->pool_at < 0 ? 1 : w.out_h;
  p->granules = w.batch * w.out_h / p->granule_rows;
  p->product = tile_product(call->precision, w.channels, p->outputs);
  p->tile_rows = round_up(rows_of_tile(w.out_w, w.channels), 4);
  // A small batch is cut finer, so that several threads have work.
  if (p->pool_at < 0) p->tile_rows = min64(p->tile_rows, max64(ceil_div(28, w.out_w), ceil_div(w.batch * w.out_h, 8)));
  p->pieces = min64(min64(kMaxSlots, p->granules), ceil_div(w.batch * w.out_h, p->tile_rows));
  // Seven pieces would leave one of two threads idle for an eighth of the time. Moments keep their pieces, hence their
  // bits.
  if (p->moments_at < 0 && p->pieces < 16 && p->pieces < p->granules) p->pieces += p->pieces % 2;
  p->tile_rows = min64(p->tile_rows, ceil_div(p->granules, p->pieces) * p->granule_rows);
  p->u_pitch = own_tile_pitch(p->product);
  p->table_floats = (w.kh * w.kw + 3) * w.lanes;
  p->statistics_floats = round_up(2 * p->pieces * piece_doubles(*p), 16);
  // Moments are taken of a compact tile: rows of a concatenation lie so far apart that few of them fit the first cache.
  const bool tile_y = streamable_rows(y);
  p->y_floats = tile_y ? p->tile_rows * w.out_w * round_up(p->outputs, 16) : 0;
  p->slot_floats = round_up(ring_floats(w), 16) + round_up(tile_floats(*p), 16) + row_floats(*p) +
                   round_up(2 * piece_doubles(*p), 16) + p->y_floats;
  call->workspace_bytes =
      4 * (p->table_floats + packed_floats(p->product) + p->statistics_floats + p->pieces * p->slot_floats);
}

// ---------------------------------------------------------------- one piece

struct Piece {
  const KernelCall* call;
  const Params* p;
  const Prologue* prologue;
  Finish finish;
  const float* filter;  // a table
  const float* packed;
  Ring ring;
  float *tile, *cells, *y_tile;
  double *statistics, *tile_statistics;
};

// The rows of x that output rows [begin, end) will stage and the rows before `begin` have not.
Fetch rows_to_come(const Piece& piece, int64_t begin, int64_t end) {
  const Window& w = piece.p->window;
  const View& x = piece.call->in[0];
  if (begin >= end || w.spread_h != 1) return {};
  const int64_t n = begin / w.out_h, oh = begin % w.out_h, last = end - 1;
  const int64_t seen = oh == 0 ? 0 : (oh - 1) * w.stride_h - w.top + (w.kh - 1) * w.dilation_h + 1;
  const int64_t need = last % w.out_h * w.stride_h - w.top + (w.kh - 1) * w.dilation_h + 1;
  const int64_t from = n * w.image_h + min64(seen, w.image_h);
  const int64_t to = last / w.out_h * w.image_h + min64(need, w.image_h);
  return fetch_rows(floats(x) + from * w.image_w * x.pitch, x.pitch, x.cols, max64(0, to - from) * w.image_w);
}

// Image rows [begin, end), all images counted through, of the depthwise result.
void correlate(const Piece& piece, int64_t begin, int64_t end, const Pixels& u, bool fetched) {
  const Window& w = piece.p->window;
  const View& x = piece.call->in[0];
  if (slides(w)) {
    for (int64_t i = begin, count = 0; i < end; i += count) {
      count = min64(end - i, w.out_h - i % w.out_h);
      slide_image_rows({&w, piece.prologue, &x, i / w.out_h, i % w.out_h, piece.filter, u.pixel((i - begin) * w.out_w),
                        u.pitch, true},
                       count);
    }
    return;
  }
  const RowFunction function = row_function(w);
  for (int64_t i = begin; i < end; ++i) {
    const int64_t n = i / w.out_h, oh = i % w.out_h;
    if (oh == 0) empty_ring(w, piece.ring);
    OutputRow row = {&w,
                     piece.ring.found,
                     piece.ring.taps,
                     0,
                     piece.filter,
                     u.pixel((i - begin) * w.out_w),
                     u.pitch,
                     fetched ? Ahead{} : rows_ahead(w, x, n, oh),
                     false};
    row.count = find_rows(w, *piece.prologue, x, n, oh, piece.ring);
    function(row);
  }
}

// Adds one row of u to its pooling cells, which are written when their last row is in: the sum of avgPool, row by row.
void add_to_cells(const Piece& piece, int64_t n, int64_t oh, const Pixels& u) {
  const Params& p = *piece.p;
  const Pool& pool = p.pool;
  const Window& w = p.window;
  const View& out = piece.call->out[p.pool_at];
  const int64_t cell_row = (oh + pool.top) / pool.h;
  const int64_t first = max64(0, cell_row * pool.h - pool.top),
                last = min64(w.out_h, (cell_row + 1) * pool.h - pool.top);
  for (int64_t j = 0; j < pool.cols; ++j) {
    const int64_t left = max64(0, j * pool.w - pool.left), right = min64(w.out_w, (j + 1) * pool.w - pool.left);
    const vf share = set1(1.0f / (float)((last - first) * (right - left)));
    float* sums = piece.cells + j * round_up(w.channels, 16);
    float* to = floats_out(out) + ((n * pool.rows + cell_row) * pool.cols + j) * out.pitch;
    for (int64_t c = 0; c < w.channels; c += W) {
      const int lanes = (int)min64(W, w.channels - c);
      vf sum = oh == first ? vf{} : load(sums + c);
      for (int64_t i = left; i < right; ++i) sum += load_lanes(u.pixel(i) + c, lanes);
      store(sums + c, sum);
      if (oh + 1 == last) store_lanes(to + c, sum * share, lanes);
    }
  }
}

void run_piece(const Piece& piece, int64_t index) {
  const Params& p = *piece.p;
  const Window& w = p.window;
  const KernelCall* call = piece.call;
  const int64_t first = index * p.granules / p.pieces * p.granule_rows;
  const int64_t last = (index + 1) * p.granules / p.pieces * p.granule_rows;
  empty_ring(w, piece.ring);
  for (int64_t begin = first; begin < last; begin += p.tile_rows) {
    const int64_t end = min64(last, begin + p.tile_rows), pixels = (end - begin) * w.out_w;
    const Pixels u{piece.tile, p.u_pitch};
    const Pixels y =
        p.y_floats > 0 ? Pixels{piece.y_tile, round_up(p.outputs, 16)} : pixels_of(call->out[0], begin * w.out_w);
    correlate(piece, begin, end, u, begin > first);
    for (int64_t i = begin; p.pool_at >= 0 && i < end; ++i)
      add_to_cells(piece, i / w.out_h, i % w.out_h, {u.pixel((i - begin) * w.out_w), u.pitch});
    if (p.u_at > 0) put_rows(u, call->out[p.u_at], begin * w.out_w, pixels);
    multiply_own_tile(p.product, piece.packed, u, pixels, y, rows_to_come(piece, end, min64(last, end + p.tile_rows)));
    if (piece.finish.run)
      piece.finish.run(piece.finish.context, {y.data, y.pitch, {begin * w.out_w, pixels}, {0, p.outputs}});
    if (p.y_floats > 0) put_rows(y, call->out[0], begin * w.out_w, pixels);
    if (p.moments_at < 0) continue;
    double* statistics = begin == first ? piece.statistics : piece.tile_statistics;
    row_moments(y.data, y.pitch, pixels, p.outputs, statistics, statistics + p.outputs);
    if (begin > first)
      join_moments(piece.statistics, piece.statistics + p.outputs, (double)((begin - first) * w.out_w), statistics,
                   statistics + p.outputs, (double)pixels, p.outputs);
  }
  stream_fence();
}

// ---------------------------------------------------------------- the call

void finish_moments(const KernelCall* call, const Params& p, double* statistics) {
  const int64_t step = piece_doubles(p), per_row = p.window.out_w * p.granule_rows;
  double rows = (double)(p.granules / p.pieces * per_row);
  for (int64_t i = 1; i < p.pieces; ++i) {
    const double* other = statistics + i * step;
    const double more = (double)(((i + 1) * p.granules / p.pieces - i * p.granules / p.pieces) * per_row);
    join_moments(statistics, statistics + p.outputs, rows, other, other + p.outputs, more, p.outputs);
    rows += more;
  }
  float *mean = floats_out(call->out[p.moments_at]), *variance = floats_out(call->out[p.moments_at + 1]);
  for (int64_t c = 0; c < p.outputs; ++c) {
    mean[c] = (float)statistics[c];
    variance[c] = variance_of(statistics[p.outputs + c], rows);
  }
}

void run(const KernelCall* call) {
  const Params& p = *params_of<Params>(call);
  const Window& w = p.window;
  float* const filter = static_cast<float*>(call->workspace);
  float* const packed = filter + p.table_floats;
  auto* const statistics = reinterpret_cast<double*>(packed + packed_floats(p.product));
  float* const slots = packed + packed_floats(p.product) + p.statistics_floats;
  const Prologue prologue = make_prologue(call, w, filter + w.kh * w.kw * w.lanes);
  spread_filter(w, call->in[1], false, filter);
  const int pointwise = find_attr(call, "bnEps") ? 6 : 2;
  pack_filter(call->parallel, p.product, call->in[pointwise], false, packed);
  const Ending ending = ending_of(call, pointwise + 1, nullptr);
  const Finish finish = finish_of(ending);
  parallel_for(call->parallel, p.pieces, [&](int64_t i) {
    float* const mine = slots + i * p.slot_floats;
    float* const tile = mine + round_up(ring_floats(w), 16);
    float* const cells = tile + round_up(tile_floats(p), 16);
    auto* const tile_statistics = reinterpret_cast<double*>(cells + row_floats(p));
    float* const y_tile = cells + row_floats(p) + round_up(2 * piece_doubles(p), 16);
    run_piece({call, &p, &prologue, finish, filter, packed, make_ring(w, mine), tile, cells, y_tile,
               statistics + i * piece_doubles(p), tile_statistics},
              i);
  });
  if (p.moments_at >= 0) finish_moments(call, p, statistics);
}

constexpr Kernel kKernels[] = {{"separable", prepare, run}};

}  // namespace

extern const KernelList kSeparableKernels;
const KernelList kSeparableKernels = {kKernels, 1};

}  // namespace gramian::cpu::GRAMIAN_ISA
