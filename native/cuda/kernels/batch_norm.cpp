// Batch statistics, batch normalisation with a fused activation and its gradients, and row normalisation. x is rows of
// channels; statistics run down the rows in chunks, whose results a second launch joins.
// What mean and variance add to the gradient by x is linear in x, channel by channel, so it is two vectors:
//   dx = scale*d - shift - slope*(x - mean),  shift = scale*dbeta/R,  slope = scale*istd*dgamma/R (0 in inference)
// The rule easy to break: what is summed is cut by shapes alone; what is not may be cut by the device.
#include "cuda/kernels/batch_norm.h"

#include "core/text.h"
#include "cuda/kernels/norms.h"
#include "cuda/kernels/tiles.h"

namespace gramian::cuda {
namespace {

constexpr int64_t kRowBlock = 256 * 16;  // elements of a row to a block

uint32_t u32(int64_t value) { return static_cast<uint32_t>(value); }

/** Rows of `like` in chunks. */
struct Cut {
  NormRows over;
  ColumnTiles tiles;

  Grid grid() const { return {over.chunks * tiles.blocks()}; }
};

Cut cut_into(const View& like, bool wide, int64_t chunk) {
  Cut cut;
  cut.tiles = tiles_for(chunk, like.cols, wide);
  cut.over = {cut.tiles.tile, u32(like.rows), u32(like.cols), u32(chunk), u32(ceil_div(like.rows, chunk))};
  return cut;
}

/** For sums: by the shape. */
int64_t summed_chunk(const View& like) {
  return chunks_for(tiles_for(like.rows, like.cols, like.cols % 4 == 0), 1, like.rows).rows;
}

/** For work on elements: a few rows to a thread, and as many blocks as fill the device. */
Cut cut_evenly(const Call& call, const View& like, bool wide) {
  const ColumnTiles tiles = tiles_for(like.rows, like.cols, wide);
  const int64_t few = int64_t{tiles.tile.above} * 4, blocks = int64_t{call.device.multiprocessors} * 32;
  const int64_t even = ceil_div(like.rows * tiles.blocks(), blocks);
  return cut_into(like, wide, even > few ? ceil_div(even, few) * few : few);
}

bool all_aligned16(std::initializer_list<const View*> views) {
  for (const View* view : views)
    if (!aligned16(*view)) return false;
  return (*views.begin())->cols % 4 == 0;
}

/** Two floats for each chunk and channel. */
int64_t statistics_bytes(const View& like) {
  const int64_t chunks = ceil_div(like.rows, summed_chunk(like));
  return chunks > 1 ? chunks * 2 * like.cols * int64_t{sizeof(float)} : 0;
}

/** The launch that joins the chunks of `over`, whose tile it replaces. */
template <typename Params>
void launch_join(Queue& queue, const char* kernel, Params params) {
  const ColumnTiles tiles = join_tiles_for(params.over.chunks, params.over.cols, false);
  params.over.tile = tiles.tile;
  queue.launch("batch_norm", kernel, {tiles.blocks()}, tiles.threads, params);
}

Norm norm_of_op(const Call& call, size_t first) {
  Norm norm = {};
  norm.mean = call.in[first].floats();
  norm.variance = call.in[first + 1].floats();
  norm.gamma = call.in[first + 2].floats();
  norm.beta = call.in[first + 3].floats();
  norm.eps = static_cast<float>(call.number("eps"));
  norm.alpha = static_cast<float>(call.number("alpha"));
  norm.activation = activation_of(call.string("activation"));
  return norm;
}

// ---------------------------------------------------------------- moments

void prepare_moments(Call& call) { call.workspace_bytes = statistics_bytes(call.in[0]); }

// x -> mean, variance
void run_moments(const Call& call, Queue& queue) {
  const View &x = call.in[0], &mean = call.out[0], &variance = call.out[1];
  const Cut cut = cut_into(x, all_aligned16({&x, &mean, &variance}), summed_chunk(x));
  MomentsParams params = {x.floats(), mean.floats(), variance.floats(), nullptr, cut.over, u32(x.pitch)};
  if (cut.over.chunks > 1) params.partial = static_cast<float*>(call.workspace);
  queue.launch("batch_norm", cut.tiles.wide ? "moments_4" : "moments_1", cut.grid(), cut.tiles.threads, params);
  if (params.partial) launch_join(queue, "momentsJoin", params);
}

// ---------------------------------------------------------------- batch normalisation

// x, mean, variance, gamma, beta -> y
void run_batch_norm(const Call& call, Queue& queue) {
  const View &x = call.in[0], &y = call.out[0];
  const Norm norm = norm_of_op(call, 1);
  const Cut cut = cut_evenly(call, x, all_aligned16({&x, &y}) && aligned16(norm));
  const BatchNormParams params = {x.floats(), y.floats(), norm, cut.over, u32(x.pitch), u32(y.pitch)};
  queue.launch("batch_norm", cut.tiles.wide ? "batchNorm_4" : "batchNorm_1", cut.grid(), cut.tiles.threads, params);
}

void prepare_gradient_params(Call& call) { call.workspace_bytes = statistics_bytes(call.in[1]); }

// dy, x, mean, variance, gamma, beta -> dgamma, dbeta
void run_gradient_params(const Call& call, Queue& queue) {
  const View &dy = call.in[0], &x = call.in[1], &dgamma = call.out[0], &dbeta = call.out[1];
  NormGradParams params = {};
  params.norm = norm_of_op(call, 2);
  const bool wide = all_aligned16({&x, &dy, &dgamma, &dbeta}) && aligned16(params.norm);
  const Cut cut = cut_into(x, wide, summed_chunk(x));
  params.dy = dy.floats();
  params.x = x.floats();
  params.dgamma = dgamma.floats();
  params.dbeta = dbeta.floats();
  if (cut.over.chunks > 1) params.partial = static_cast<float*>(call.workspace);
  params.over = cut.over;
  params.pitch_dy = u32(dy.pitch);
  params.pitch_x = u32(x.pitch);
  const char* kernel = wide ? "batchNormGradParams_4" : "batchNormGradParams_1";
  queue.launch("batch_norm", kernel, cut.grid(), cut.tiles.threads, params);
  if (params.partial) launch_join(queue, "batchNormGradParamsJoin", params);
}

/** `other` may be null. Launches what `params` lacks but the views. */
void enqueue_gradient_input(const Call& call, Queue& queue, NormGradInputParams params, const View* other, bool wide) {
  const View &dy = call.in[0], &x = call.in[1], &dx = call.out[0];
  wide = wide && all_aligned16({&x, &dy, &dx}) && (!other || aligned16(*other));
  const Cut cut = cut_evenly(call, x, wide);
  params.dy = dy.floats();
  params.x = x.floats();
  params.other = other ? other->floats() : nullptr;
  params.dx = dx.floats();
  params.over = cut.over;
  params.pitch_dy = u32(dy.pitch);
  params.pitch_x = u32(x.pitch);
  params.pitch_other = other ? u32(other->pitch) : 0;
  params.pitch_dx = u32(dx.pitch);
  const char* kernel = wide ? "batchNormGradInput_4" : "batchNormGradInput_1";
  queue.launch("batch_norm", kernel, cut.grid(), cut.tiles.threads, params);
}

// dy, x, mean, variance, gamma, beta, dgamma, dbeta (, other) -> dx
void run_gradient_input(const Call& call, Queue& queue) {
  NormGradInputParams params = {};
  params.norm = norm_of_op(call, 2);
  params.dgamma = call.in[6].floats();
  params.dbeta = call.in[7].floats();
  params.per_row = call.number("training") != 0 ? static_cast<float>(1.0 / static_cast<double>(call.in[1].rows)) : 0;
  const bool wide = aligned16(params.norm) && aligned16(call.in[6]) && aligned16(call.in[7]);
  enqueue_gradient_input(call, queue, params, call.in.size() > 8 ? &call.in[8] : nullptr, wide);
}

// sum, x, mean, shift, slope -> dx
void run_gradient_correct(const Call& call, Queue& queue) {
  NormGradInputParams params = {};
  params.norm.mean = call.in[2].floats();
  params.shift = call.in[3].floats();
  params.slope = call.in[4].floats();
  const bool wide = aligned16(call.in[2]) && aligned16(call.in[3]) && aligned16(call.in[4]);
  enqueue_gradient_input(call, queue, params, nullptr, wide);
}

// variance, gamma, dgamma, dbeta (, shift, slope) -> shift, slope
void run_gradient_terms(const Call& call, Queue& queue) {
  const bool more = call.in.size() > 4;
  const NormTermsParams params = {call.in[0].floats(),
                                  call.in[1].floats(),
                                  call.in[2].floats(),
                                  call.in[3].floats(),
                                  more ? call.in[4].floats() : nullptr,
                                  more ? call.in[5].floats() : nullptr,
                                  call.out[0].floats(),
                                  call.out[1].floats(),
                                  static_cast<float>(call.number("eps")),
                                  static_cast<float>(1 / call.number("rows")),
                                  u32(call.in[0].cols)};
  queue.launch("batch_norm", "batchNormGradTerms", {ceil_div(params.cols, 256)}, 256, params);
}

// ---------------------------------------------------------------- row normalisation

/** Blocks to a row; two floats of each are left for the second launch. */
int64_t row_chunks(const View& z) { return ceil_div(z.cols, kRowBlock); }

void prepare_row_norm(Call& call) {
  const View& z = call.in.back();
  if (row_chunks(z) > 1) call.workspace_bytes = z.rows * row_chunks(z) * 2 * int64_t{sizeof(float)};
}

// z -> u, or dy, z -> dz
void run_row_norm(const Call& call, Queue& queue) {
  const View &z = call.in.back(), &first = call.in[0], &y = call.out[0];
  const bool wide = all_aligned16({&z, &first, &y});
  const int64_t chunks = row_chunks(z), pieces = wide ? z.cols / 4 : z.cols, chunk = ceil_div(pieces, chunks);
  RowNormParams params = {};
  params.z = z.floats();
  params.dy = call.in.size() > 1 ? first.floats() : nullptr;
  params.y = y.floats();
  if (chunks > 1) params.partial = static_cast<float*>(call.workspace);
  params.chunks = make_divisor(chunks);
  params.pieces = u32(pieces);
  params.chunk = u32(chunk);
  params.pitch_z = u32(z.pitch);
  params.pitch_dy = u32(first.pitch);
  params.pitch_y = u32(y.pitch);
  params.eps = static_cast<float>(call.number("eps"));
  const int64_t warps = ceil_div(chunk, 32);
  const auto threads = static_cast<unsigned>(32 * (warps < 8 ? warps : 8));
  const Grid grid = {z.rows * chunks};
  if (params.partial) queue.launch("batch_norm", wide ? "rowPartials_4" : "rowPartials_1", grid, threads, params);
  queue.launch("batch_norm", wide ? "rowNorm_4" : "rowNorm_1", grid, threads, params);
}

const Kernel kernels[] = {
    {"moments", prepare_moments, run_moments},
    {"batchNorm", prepare_nothing, run_batch_norm},
    {"batchNormGradParams", prepare_gradient_params, run_gradient_params},
    {"batchNormGradInput", prepare_nothing, run_gradient_input},
    {"batchNormGradTerms", prepare_nothing, run_gradient_terms},
    {"batchNormGradCorrect", prepare_nothing, run_gradient_correct},
    {"rowNormalize", prepare_row_norm, run_row_norm},
    {"rowNormalizeGrad", prepare_row_norm, run_row_norm},
};

}  // namespace

extern const KernelList kBatchNormKernels;
const KernelList kBatchNormKernels = list_of(kernels);

}  // namespace gramian::cuda
