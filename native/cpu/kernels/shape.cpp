// concat, slice, pad, transpose and reshape: elements change place, never value. Any dtype.
// Called through the table built in table.cpp. All but pad and reshape are one strided copy over a nest (strided.h).
// The rule easy to break: nothing here is in place; the output never overlaps an input.
#include "cpu/kernels/spans.h"
#include "cpu/kernels/strided.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

int64_t element_size(const View& v) { return v.dtype == DType::u8 ? 1 : 4; }

// ---------------------------------------------------------------- strided copy

// Operand 0 is the destination, operand 1 the source.
template <typename T>
void copy_elements(const Parallel& parallel, const Nest<2>& nest, T* to, const T* from) {
  const int outer = nest.rank - 1;
  const int64_t cols = nest.shape[outer], step_to = nest.stride[outer][0], step_from = nest.stride[outer][1];
  const bool runs = step_to == 1 && step_from == 1;
  for_pieces(parallel, nest.count(outer), cols, [&](int64_t r0, int64_t r1, int64_t c0, int64_t c1) {
    Cursor<2> at(nest, outer, r0);
    for (int64_t r = r0; r < r1; ++r, at.next()) {
      T* target = to + at.offset[0];
      const T* source = from + at.offset[1];
      if (runs)
        memcpy(target + c0, source + c0, (size_t)(c1 - c0) * sizeof(T));
      else
        for (int64_t i = c0; i < c1; ++i) target[i * step_to] = source[i * step_from];
    }
  });
}

// Moves dimension `from` of the nest to the end, keeping the order of the others.
void move_last(Nest<2>* nest, int from) {
  const int64_t size = nest->shape[from], to = nest->stride[from][0], source = nest->stride[from][1];
  for (int i = from; i + 1 < nest->rank; ++i) {
    nest->shape[i] = nest->shape[i + 1];
    for (int k = 0; k < 2; ++k) nest->stride[i][k] = nest->stride[i + 1][k];
  }
  const int last = nest->rank - 1;
  nest->shape[last] = size;
  nest->stride[last][0] = to;
  nest->stride[last][1] = source;
}

// The last dimension steps the destination by 1, the one before it the source: copied in square tiles, so that both
// sides use whole cache lines.
template <typename T>
void copy_tiles(const Parallel& parallel, const Nest<2>& nest, T* to, const T* from) {
  constexpr int64_t tile = 32;
  const int outer = nest.rank - 2;
  const int64_t rows = nest.shape[outer], cols = nest.shape[outer + 1];
  const int64_t to_step = nest.stride[outer][0], from_step = nest.stride[outer + 1][1];
  const int64_t row_tiles = ceil_div(rows, tile), col_tiles = ceil_div(cols, tile);
  for_groups(parallel, nest.count(outer) * row_tiles * col_tiles, tile * tile, [&](int64_t t0, int64_t t1) {
    for (int64_t t = t0; t < t1; ++t) {
      const Cursor<2> at(nest, outer, t / col_tiles / row_tiles);
      const int64_t r0 = t / col_tiles % row_tiles * tile, c0 = t % col_tiles * tile;
      const int64_t r1 = min64(rows, r0 + tile), c1 = min64(cols, c0 + tile);
      for (int64_t r = r0; r < r1; ++r) {
        T* target = to + at.offset[0] + r * to_step;
        const T* source = from + at.offset[1] + r;
        for (int64_t c = c0; c < c1; ++c) target[c] = source[c * from_step];
      }
    }
  });
}

template <typename T>
void copy_nest(const Parallel& parallel, Nest<2> nest, void* to, const void* from) {
  if (nest.rank == 0) nest.push_unit();
  int source_inner = -1;
  for (int i = 0; i + 1 < nest.rank; ++i)
    if (nest.stride[i][1] == 1) source_inner = i;
  const bool tiles = source_inner >= 0 && nest.stride[nest.rank - 1][0] == 1 && nest.stride[nest.rank - 1][1] != 1;
  if (tiles) {
    const int last = nest.rank - 1;
    move_last(&nest, source_inner);
    move_last(&nest, last - 1);  // the destination's inner dimension goes back to the end
    copy_tiles(parallel, nest, static_cast<T*>(to), static_cast<const T*>(from));
  } else {
    copy_elements(parallel, nest, static_cast<T*>(to), static_cast<const T*>(from));
  }
}

void copy_strided(const KernelCall* call, const Nest<2>& nest, const View& to, int64_t to_offset, const View& from,
                  int64_t from_offset) {
  if (element_size(to) == 1)
    copy_nest<uint8_t>(call->parallel, nest, static_cast<uint8_t*>(to.data) + to_offset,
                       static_cast<const uint8_t*>(from.data) + from_offset);
  else
    copy_nest<uint32_t>(call->parallel, nest, static_cast<uint32_t*>(to.data) + to_offset,
                        static_cast<const uint32_t*>(from.data) + from_offset);
}

void run_concat(const KernelCall* call) {
  const View& y = call->out[0];
  const int axis = (int)attr(call, "axis");
  int64_t sy[kMaxRank], sx[kMaxRank], begin = 0;
  strides_of(y, sy);
  for (int k = 0; k < call->in_count; ++k) {
    const View& x = call->in[k];
    strides_of(x, sx);
    Nest<2> nest;
    for (int i = 0; i < x.rank; ++i) {
      const int64_t steps[2] = {sy[i], sx[i]};
      nest.push(x.shape[i], steps);
    }
    copy_strided(call, nest, y, begin * sy[axis], x, 0);
    begin += x.shape[axis];
  }
}

void run_slice(const KernelCall* call) {
  const View &x = call->in[0], &y = call->out[0];
  const Attr* begin = find_attr(call, "begin");
  int64_t sy[kMaxRank], sx[kMaxRank], offset = 0;
  strides_of(y, sy);
  strides_of(x, sx);
  Nest<2> nest;
  for (int i = 0; i < y.rank; ++i) {
    const int64_t steps[2] = {sy[i], sx[i]};
    nest.push(y.shape[i], steps);
    offset += (int64_t)begin->list[i] * sx[i];
  }
  copy_strided(call, nest, y, 0, x, offset);
}

void run_transpose(const KernelCall* call) {
  const View &x = call->in[0], &y = call->out[0];
  const Attr* perm = find_attr(call, "perm");
  int64_t sy[kMaxRank], sx[kMaxRank];
  strides_of(y, sy);
  strides_of(x, sx);
  Nest<2> nest;
  for (int i = 0; i < y.rank; ++i) {
    const int64_t steps[2] = {sy[i], sx[(int)perm->list[i]]};
    nest.push(y.shape[i], steps);
  }
  copy_strided(call, nest, y, 0, x, 0);
}

// Runs of elements that are contiguous on both sides, in row-major order.
void run_reshape(const KernelCall* call) {
  const View &x = call->in[0], &y = call->out[0];
  if (x.data == y.data && dense(x) && dense(y)) return;
  const int64_t size = element_size(x);
  const int64_t x_cols = dense(x) ? x.rows * x.cols : x.cols, y_cols = dense(y) ? y.rows * y.cols : y.cols;
  for_pieces(call->parallel, 1, y.rows * y.cols, [&](int64_t, int64_t, int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t xr = begin / x_cols, xc = begin % x_cols, yr = begin / y_cols, yc = begin % y_cols;
      const int64_t n = min64(end - begin, min64(x_cols - xc, y_cols - yc));
      memcpy(static_cast<char*>(y.data) + (yr * y.pitch + yc) * size,
             static_cast<const char*>(x.data) + (xr * x.pitch + xc) * size, (size_t)(n * size));
      begin += n;
    }
  });
}

// ---------------------------------------------------------------- pad

void run_pad(const KernelCall* call) {
  const float value = (float)attr(call, "value");
  const View &x = call->in[0], &y = call->out[0];
  const double* before = find_attr(call, "before")->list;
  const int last = y.rank - 1;
  int64_t sx[kMaxRank];
  strides_of(x, sx);
  const int64_t left = (int64_t)before[last];
  for_groups(call->parallel, y.rows, y.cols, [&](int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; ++r) {
      float* to = floats_out(y) + r * y.pitch;
      int64_t offset = 0;
      bool inside = true;
      for (int64_t i = last - 1, rest = r; i >= 0; rest /= y.shape[i], --i) {
        const int64_t index = rest % y.shape[i] - (int64_t)before[i];
        inside = inside && index >= 0 && index < x.shape[i];
        offset += index * sx[i];
      }
      const int64_t begin = inside ? left : y.cols, end = inside ? left + x.cols : y.cols;
      for (int64_t c = 0; c < begin; ++c) to[c] = value;
      if (inside) memcpy(to + begin, floats(x) + offset, (size_t)x.cols * sizeof(float));
      for (int64_t c = end; c < y.cols; ++c) to[c] = value;
    }
  });
}

const Kernel kernels[] = {
    {"concat", prepare_nothing, run_concat},   {"slice", prepare_nothing, run_slice},
    {"pad", prepare_nothing, run_pad},         {"transpose", prepare_nothing, run_transpose},
    {"reshape", prepare_nothing, run_reshape},
};

}  // namespace

extern const KernelList kShapeKernels;
const KernelList kShapeKernels = {kernels, sizeof kernels / sizeof kernels[0]};

}  // namespace gramian::cpu::GRAMIAN_ISA
