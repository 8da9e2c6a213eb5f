// Makes a Span for operands of one shape. Host only; used by kernels/*.cpp.
// The rule easy to break: a kernel reads 4 floats at once only where every address and every pitch is a multiple of 16
// bytes.
#pragma once
#include <initializer_list>

#include "cuda/kernel.h"
#include "cuda/kernels/span.h"

namespace gramian::cuda {

/** Whether every row begins at a multiple of 16 bytes. */
inline bool aligned16(const View& view) {
  return reinterpret_cast<uintptr_t>(view.data) % 16 == 0 && (view.pitch % 4 == 0 || view.rows == 1);
}

struct Spans {
  Span span;
  bool wide;  // pieces of 4 floats
};

/** rows x cols elements in pieces; if `wide`, either cols is a multiple of 4 or there is one row. */
inline Spans spans_for(int64_t rows, int64_t cols, bool wide) {
  const int64_t width = wide ? 4 : 1, per_row = cols / width;
  Spans result;
  result.wide = wide;
  result.span.vectors = static_cast<uint32_t>(rows * per_row);
  result.span.tail = static_cast<uint32_t>(cols % width);
  result.span.row = make_divisor(per_row > 0 ? per_row : 1);
  return result;
}

/** For operands with as many rows and columns as the first. */
inline Spans spans_of(std::initializer_list<const View*> views) {
  bool dense = true, wide = true;
  for (const View* view : views) {
    dense = dense && view->dense();
    wide = wide && reinterpret_cast<uintptr_t>(view->data) % 16 == 0;
  }
  const View& first = **views.begin();
  const int64_t rows = dense ? 1 : first.rows, cols = dense ? first.count() : first.cols;
  if (!dense)
    for (const View* view : views) wide = wide && aligned16(*view) && cols % 4 == 0;
  return spans_for(rows, cols, wide);
}

/** The same where rows keep their numbers, whether or not they lie close to each other. */
inline Spans row_spans_of(const View& like, std::initializer_list<const View*> views) {
  bool wide = like.cols % 4 == 0;
  for (const View* view : views) wide = wide && aligned16(*view);
  return spans_for(like.rows, like.cols, wide);
}

constexpr unsigned kSpanBlock = 256;

/** Launches `kernel`_4 or `kernel`_1 of the module over a span. */
template <typename Params>
void launch_span(const Call& call, Queue& queue, const char* module, const std::string& kernel, const Spans& spans,
                 const Params& params) {
  const std::string name = kernel + (spans.wide ? "_4" : "_1");
  const int64_t items = spans.span.vectors > spans.span.tail ? spans.span.vectors : spans.span.tail;
  queue.launch(module, name.c_str(), grid_for(call, items, kSpanBlock), kSpanBlock, params);
}

}  // namespace gramian::cuda
