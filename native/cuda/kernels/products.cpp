// See products.h.
#include "cuda/kernels/products.h"

#include <algorithm>

#include "cuda/kernels/spans.h"

namespace gramian::cuda {
namespace {

constexpr int64_t kRowsOfBlock = 128, kTermsOfSlice = 16;
/** Sums are cut until so many blocks have work, but into no less than kLeastTerms. */
constexpr int64_t kBlocksWanted = 256, kLeastTerms = 256;

uint32_t u32(int64_t value) { return static_cast<uint32_t>(value); }

struct Cut {
  int64_t chunk, chunks;
};

int64_t columns_of_block(const ProductCall& p) { return p.transposed || p.n > 32 ? 64 : 32; }

Cut cut_of(const ProductCall& p) {
  if (p.params.y_step_h > 0) return {p.k, 1};
  const int64_t rows = p.rows_alone > 0 ? p.rows_alone : p.m;
  const int64_t blocks = ceil_div(rows, kRowsOfBlock) * ceil_div(p.n, columns_of_block(p)) * p.groups;
  const int64_t chunks = std::clamp<int64_t>(kBlocksWanted / blocks, 1, std::max<int64_t>(1, p.k / kLeastTerms));
  Cut cut = {};
  cut.chunk = ceil_div(ceil_div(p.k, chunks), kTermsOfSlice) * kTermsOfSlice;
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

ProductRows plain_rows(const View& matrix) {
  ProductRows rows = {};
  rows.data = matrix.floats();
  rows.pitch = u32(matrix.pitch);
  rows.image_h = rows.image_w = rows.stride_h = rows.stride_w = 1;
  rows.rows_w_of = rows.rows_h_of = rows.taps_w_of = make_divisor(1);
  rows.channels_of = make_divisor(int64_t{1} << 30);  // every column is of tap 0
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
  const int64_t n = columns_of_block(p);
  const char* const kernel = p.transposed ? "transposed_64" : n == 64 ? "product_64" : "product_32";
  queue.launch("product", kernel, {ceil_div(p.m, kRowsOfBlock), ceil_div(p.n, n), p.groups * cut.chunks}, 256, params);
  if (parts) enqueue_sum(y.floats(), cut.chunks, p.y, queue, p.params.finish);
}

}  // namespace gramian::cuda
