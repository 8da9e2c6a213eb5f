// Parameters of product.cu: y = A B with float32 sums, where A's rows may be pixels read through a window (an image
// that is never unfolded in memory) and B may be a filter read turned. Plain data for host and device code; products.h
// fills it. The rule easy to break: a sum over k has one order, which `chunk` fixes, whatever the number of rows.
#pragma once
#include "activation.h"
#include "divisor.h"

namespace gramian::cuda {

/**
 * Row m is pixel (n, i, j) of [.., rows_h, rows_w]; column k is channel c of tap (p, q): the element at pixel
 * (top + i * stride_h + p * step_h, left + j * stride_w + q * step_w) of image n, 0 outside it. A plain matrix has
 * rows_h = rows_w = 1 and one tap. Where A is transposed, rows and columns change places.
 */
struct ProductRows {
  const float* data;
  uint32_t pitch;
  int32_t image_h, image_w, stride_h, stride_w, top, left, step_h, step_w;
  Divisor rows_w_of, rows_h_of;
  Divisor channels_of, taps_w_of;  // of column k
};

/** Element (k, n) at k * pitch + n, or turned: that of tap (p, q), channel c at (first + p * step_h + q * step_w) * tap
 * + n * pitch + c. */
struct ProductColumns {
  const float* data;
  uint32_t pitch;
  uint32_t turned;
  int32_t first, step_h, step_w;
  uint32_t tap;
};

struct ProductParams {
  ProductRows a;
  ProductColumns b;
  float* y;
  Norm finish;  // of y as it is written; no batchNorm: mean is null
  uint32_t m, n, k;
  uint32_t pitch_y;
  int32_t y_h, y_w, y_step_h, y_step_w, y_top, y_left;  // row (n, i, j) is pixel (top + i * step_h, ...) of y's image n
  uint32_t groups, group_a, group_b, group_y;           // elements from one group to the next
  uint32_t chunk, chunk_y;                              // terms of a chunk; elements of y from one chunk to the next
  uint32_t wide_a, wide_b, wide_y;                      // 4 floats at once
  uint32_t plain_y;                                     // wide, rows in order, not finished
};

}  // namespace gramian::cuda
