// See products.h.
#include "cuda/kernels/products.h"

#include <algorithm>
#include <limits>

#include "cuda/kernels/slice.h"
#include "cuda/kernels/spans.h"

namespace gramian::cuda {
namespace {

/** As on the CPU: a small product costs nothing, and its factors may be few numbers of great effect. */
constexpr int64_t kLeastRounded = 65536;
/** Sums are cut until so many blocks have work, but into no less than kLeastTerms. */
constexpr int64_t kBlocksWanted = 256, kLeastTerms = 256;

uint32_t u32(int64_t value) { return static_cast<uint32_t>(value); }

struct Cut {
  int64_t chunk, chunks;
};

int64_t rows_that_count(const ProductCall& p) { return p.rows_alone > 0 ? p.rows_alone : p.m; }

int64_t columns_of_block(const ProductCall& p) {
  if (is_rounded(p)) return p.n > 64 ? 128 : 64;
  return p.transposed || p.n > 32 ? 64 : 32;
}

std::string kernel_of(const ProductCall& p) {
  const bool turned = is_rounded(p) && p.params.b.turned;  // elsewhere a kernel takes both
  const char* const name = !p.transposed ? (turned ? "turned_" : "product_")
                           : turned      ? "transposedTurned_"
                                         : "transposed_";
  return cat(name, columns_of_block(p));
}

Cut cut_of(const ProductCall& p) {
  if (p.params.y_step_h > 0) return {p.k, 1};
  const int64_t blocks = ceil_div(rows_that_count(p), int64_t{kM}) * ceil_div(p.n, columns_of_block(p)) * p.groups;
  const int64_t chunks = std::clamp<int64_t>(kBlocksWanted / blocks, 1, std::max<int64_t>(1, p.k / kLeastTerms));
  Cut cut = {};
  cut.chunk = ceil_div(ceil_div(p.k, chunks), int64_t{kTerms}) * kTerms;
  cut.chunks = ceil_div(p.k, cut.chunk);
  return cut;
}

/** Whether sums go to the workspace first: cut ones, and those of the transposed kernel, which finishes none. */
bool in_parts(const ProductCall& p, const Cut& cut) { return cut.chunks > 1 || (p.transposed && p.finished); }

bool aligned16(const void* data) { return reinterpret_cast<uintptr_t>(data) % 16 == 0; }

/** Whether runs of 4 elements never leave a row or a tap, and begin at a multiple of 16 bytes. */
bool wide(const void* data, uint32_t pitch, uint32_t group, int64_t run) {
  return aligned16(data) && pitch % 4 == 0 && group % 4 == 0 && run % 4 == 0;
}

}  // namespace

bool is_rounded(const ProductCall& p) { return p.bf16 && p.groups * rows_that_count(p) * p.n * p.k >= kLeastRounded; }

ProductRows plain_rows(const View& matrix) {
  ProductRows rows = {};
  rows.data = matrix.floats();
  rows.pitch = u32(matrix.pitch);
  rows.image_h = rows.image_w = rows.stride_h = rows.stride_w = 1;
  rows.rows_w_of = rows.rows_h_of = rows.taps_w_of = make_divisor(1);
  rows.channels_of = make_divisor(std::numeric_limits<int32_t>::max());  // every column is of tap 0
  return rows;
}

ProductColumns plain_columns(const View& matrix) { return {matrix.floats(), u32(matrix.pitch), 0, 0, 0, 0, 0}; }
ProductColumns turned_columns(const View& matrix) { return {matrix.floats(), u32(matrix.pitch), 1, 0, 0, 0, 0}; }

int64_t product_bytes(const ProductCall& p) {
  const Cut cut = cut_of(p);
  return in_parts(p, cut) ? cut.chunks * p.y.count() * int64_t{sizeof(float)} : 0;
}

void run_product(const ProductCall& p, void* workspace, Queue& queue) {
  const Cut cut = cut_of(p);
  ProductParams params = p.params;
  params.m = u32(p.m), params.n = u32(p.n), params.k = u32(p.k), params.groups = u32(p.groups);
  params.chunk = u32(cut.chunk);
  params.group_y = u32(p.n);
  View y = p.y;
  const bool whole = params.y_step_h == 0, parts = in_parts(p, cut);
  if (parts) {
    y.data = workspace, y.pitch = y.cols;
    params.chunk_y = u32(y.count());
    params.finish = {};
  }
  params.y = y.floats();
  params.pitch_y = u32(y.pitch);
  if (whole) {
    params.y_h = static_cast<int32_t>(params.a.rows_h_of.divisor),
    params.y_w = static_cast<int32_t>(params.a.rows_w_of.divisor);
    params.y_step_h = params.y_step_w = 1;
    params.y_top = params.y_left = 0;
  }
  params.wide_a = wide(params.a.data, params.a.pitch, params.group_a, p.run_a);
  params.wide_b = wide(params.b.data, params.b.pitch, params.group_b, params.b.turned ? p.run_b : p.n);
  params.wide_y = wide(params.y, params.pitch_y, params.group_y, p.n) && params.chunk_y % 4 == 0;
  params.plain_y = params.wide_y && whole && !params.finish.mean;
  const Grid grid = {ceil_div(p.m, int64_t{kM}) * ceil_div(p.n, columns_of_block(p)), p.groups * cut.chunks};
  queue.launch(is_rounded(p) ? "product_bf16" : "product", kernel_of(p).c_str(), grid, 256, params);
  if (parts) enqueue_sum(y.floats(), cut.chunks, p.y, queue, p.params.finish);
}

ProductCall PlainProduct::call_of(const Call& call) const {
  ProductCall product;
  product.transposed = trans_a;
  product.params.a = plain_rows(a);
  product.params.b = trans_b ? turned_columns(b) : plain_columns(b);
  product.m = y.rows, product.n = y.cols, product.k = trans_a ? a.rows : a.cols;
  product.run_a = a.cols, product.run_b = b.cols;
  product.rows_alone = per_image && !trans_a ? 1 : 0;
  product.finished = finished;
  product.bf16 = call.bf16;
  product.y = y;
  return product;
}

bool PlainProduct::by_blas(const Call& call) const { return !per_image && !finished && !is_rounded(call_of(call)); }

int64_t PlainProduct::prepare(Call& call) const {
  if (!by_blas(call)) return product_bytes(call_of(call));
  call.uses_blas = true;
  return 0;
}

void PlainProduct::run(const Call& call, void* workspace, Queue& queue, const Norm& finish) const {
  ProductCall ours = call_of(call);
  if (!by_blas(call)) {
    ours.params.finish = finish;
    return run_product(ours, workspace, queue);
  }
  Product product;
  product.m = ours.m, product.n = ours.n, product.k = ours.k;
  product.a = a.matrix(), product.b = b.matrix(), product.y = y.matrix();
  product.trans_a = trans_a, product.trans_b = trans_b;
  queue.blas().product(product);
}

}  // namespace gramian::cuda
