// libcublas.so.13 for the software device: matrix products as plain loops over column-major operands, in the declared
// compute type. Enters streams through library.h, so order, bounds and initialisation are checked as for a kernel.
// The rule easy to break: with beta == 0 the result is not read, so it may be uninitialised.
#include <cstring>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "formats.h"
#include "library.h"

namespace softcuda {
namespace {

constexpr int kDone = 0, kNotCreated = 1, kBadValue = 7, kFailed = 13, kUnsupported = 15;
/** cudaDataType and cublasComputeType_t */
constexpr int kFloat32 = 0, kFloat16 = 2, kBfloat16 = 14, kCompute32 = 68, kComputeTf32 = 77;
constexpr int kMathTf32 = 3;

struct Handle {
  void* stream = nullptr;
  int math_mode = 0;
  bool host_pointers = true;
};

std::mutex mutex;
std::set<Handle*> handles;

bool live(Handle* handle) {
  const std::lock_guard lock(mutex);
  return handles.count(handle) == 1;
}

struct Matrix {
  u64 address = 0;
  i64 leading = 0, batch_stride = 0;
  int type = kFloat32;
  bool transposed = false;
  u64 element() const { return type == kFloat32 ? 4 : 2; }
};

/** C = alpha op(A) op(B) + beta C, `batches` times. */
struct Product {
  i64 m, n, k, batches;
  float alpha, beta;
  Matrix a, b, c;
  bool tf32 = false;
};

float load(uintptr_t memory, const Matrix& matrix, i64 batch, i64 row, i64 column, bool tf32) {
  const i64 index =
      matrix.batch_stride * batch + (matrix.transposed ? row * matrix.leading + column : column * matrix.leading + row);
  const auto* at = reinterpret_cast<const u8*>(memory + matrix.address + static_cast<u64>(index) * matrix.element());
  if (matrix.type == kFloat32) {
    float value;
    std::memcpy(&value, at, 4);
    return tf32 ? std::bit_cast<float>(encode(value, kTf32, 4) << 13) : value;
  }
  u16 bits;
  std::memcpy(&bits, at, 2);
  return matrix.type == kFloat16 ? float_from_half(bits) : float_from_bfloat(bits);
}

void store(uintptr_t memory, const Matrix& matrix, i64 index, float value) {
  auto* at = reinterpret_cast<u8*>(memory + matrix.address + static_cast<u64>(index) * matrix.element());
  if (matrix.type == kFloat32) return void(std::memcpy(at, &value, 4));
  const u16 bits = static_cast<u16>(encode(value, matrix.type == kFloat16 ? kHalf : kBfloat, 0));
  std::memcpy(at, &bits, 2);
}

void compute(const void* data, uintptr_t memory) {
  Product p;
  std::memcpy(&p, data, sizeof p);
  std::vector<float> a(static_cast<size_t>(p.m * p.k)), b(static_cast<size_t>(p.k * p.n));
  for (i64 batch = 0; batch < p.batches; ++batch) {
    for (i64 i = 0; i < p.m; ++i)
      for (i64 x = 0; x < p.k; ++x) a[static_cast<size_t>(i * p.k + x)] = load(memory, p.a, batch, i, x, p.tf32);
    for (i64 j = 0; j < p.n; ++j)
      for (i64 x = 0; x < p.k; ++x) b[static_cast<size_t>(j * p.k + x)] = load(memory, p.b, batch, x, j, p.tf32);
    for (i64 j = 0; j < p.n; ++j)
      for (i64 i = 0; i < p.m; ++i) {
        float sum = 0;
        for (i64 x = 0; x < p.k; ++x)
          sum = std::fma(a[static_cast<size_t>(i * p.k + x)], b[static_cast<size_t>(j * p.k + x)], sum);
        const i64 index = p.c.batch_stride * batch + j * p.c.leading + i;
        const float old = p.beta == 0 ? 0 : p.beta * load(memory, p.c, batch, i, j, false);
        store(memory, p.c, index, p.beta == 0 ? p.alpha * sum : std::fma(p.alpha, sum, old));
      }
  }
}

/** The columns an operand occupies in memory. */
void add_operand(std::vector<LibraryRange>& ranges, const Matrix& matrix, i64 rows, i64 columns, i64 batches,
                 bool written, bool read) {
  const i64 length = matrix.transposed ? columns : rows, count = matrix.transposed ? rows : columns;
  for (i64 batch = 0; batch < batches; ++batch)
    ranges.push_back({matrix.address + static_cast<u64>(batch * matrix.batch_stride) * matrix.element(),
                      static_cast<u64>(length) * matrix.element(), static_cast<u64>(count),
                      static_cast<u64>(matrix.leading) * matrix.element(), read, written});
}

int submit(Handle* handle, const char* name, const Product& p, u64 flops) {
  if (!live(handle)) return kNotCreated;
  if (p.m < 0 || p.n < 0 || p.k < 0 || p.batches < 0) return kBadValue;
  const i64 a_rows = p.a.transposed ? p.k : p.m, b_rows = p.b.transposed ? p.n : p.k;
  if (p.a.leading < a_rows || p.b.leading < b_rows || p.c.leading < p.m) return kBadValue;
  if (p.m == 0 || p.n == 0 || p.batches == 0) return kDone;
  std::vector<LibraryRange> ranges;
  add_operand(ranges, p.a, p.m, p.k, p.batches, false, true);
  add_operand(ranges, p.b, p.k, p.n, p.batches, false, true);
  add_operand(ranges, p.c, p.m, p.n, p.batches, true, p.beta != 0);
  const LibraryCall call{name, handle->stream, ranges.data(), ranges.size(), flops, &p, sizeof p, compute};
  return softcudaLibraryCall(&call) == 0 ? kDone : kFailed;
}

u64 at(const void* pointer) { return reinterpret_cast<u64>(pointer); }
bool known_type(int type) { return type == kFloat32 || type == kFloat16 || type == kBfloat16; }
bool known_operation(int operation) { return operation >= 0 && operation <= 2; }
u64 product_flops(i64 m, i64 n, i64 k, i64 batches) { return static_cast<u64>(2 * m * n * k * batches); }

}  // namespace
}  // namespace softcuda

using namespace softcuda;

extern "C" {

int cublasCreate_v2(void** handle) {
  if (handle == nullptr) return kBadValue;
  auto* made = new Handle;
  const std::lock_guard lock(mutex);
  handles.insert(made);
  *handle = made;
  return kDone;
}
int cublasDestroy_v2(void* handle) {
  const std::lock_guard lock(mutex);
  if (handles.erase(static_cast<Handle*>(handle)) == 0) return kNotCreated;
  delete static_cast<Handle*>(handle);
  return kDone;
}
int cublasGetVersion_v2(void* handle, int* version) {
  if (!live(static_cast<Handle*>(handle))) return kNotCreated;
  *version = 130000;
  return kDone;
}
int cublasSetStream_v2(void* handle, void* stream) {
  if (!live(static_cast<Handle*>(handle))) return kNotCreated;
  static_cast<Handle*>(handle)->stream = stream;
  return kDone;
}
int cublasGetStream_v2(void* handle, void** stream) {
  if (!live(static_cast<Handle*>(handle))) return kNotCreated;
  *stream = static_cast<Handle*>(handle)->stream;
  return kDone;
}
int cublasSetMathMode(void* handle, int mode) {
  if (!live(static_cast<Handle*>(handle))) return kNotCreated;
  static_cast<Handle*>(handle)->math_mode = mode;
  return kDone;
}
/** Only factors in host memory are implemented, which is the library's default. */
int cublasSetPointerMode_v2(void* handle, int mode) {
  if (!live(static_cast<Handle*>(handle))) return kNotCreated;
  return mode == 0 ? kDone : kUnsupported;
}
/** No workspace is needed; the range is not touched. */
int cublasSetWorkspace_v2(void* handle, void*, size_t) {
  return live(static_cast<Handle*>(handle)) ? kDone : kNotCreated;
}

int cublasGemmStridedBatchedEx(void* handle, int op_a, int op_b, int m, int n, int k, const void* alpha, const void* a,
                               int a_type, int lda, long long stride_a, const void* b, int b_type, int ldb,
                               long long stride_b, const void* beta, void* c, int c_type, int ldc, long long stride_c,
                               int batches, int compute_type, int) {
  auto* of = static_cast<Handle*>(handle);
  if (!live(of)) return kNotCreated;
  if (!known_operation(op_a) || !known_operation(op_b) || alpha == nullptr || beta == nullptr) return kBadValue;
  if (!known_type(a_type) || a_type != b_type || !known_type(c_type)) return kUnsupported;
  if (compute_type != kCompute32 && compute_type != kComputeTf32) return kUnsupported;
  Product p{m,
            n,
            k,
            batches,
            *static_cast<const float*>(alpha),
            *static_cast<const float*>(beta),
            {at(a), lda, stride_a, a_type, op_a != 0},
            {at(b), ldb, stride_b, b_type, op_b != 0},
            {at(c), ldc, stride_c, c_type, false}};
  p.tf32 = a_type == kFloat32 && (compute_type == kComputeTf32 || of->math_mode == kMathTf32);
  return submit(of, "cublasGemm", p, product_flops(m, n, k, batches));
}
int cublasGemmEx(void* handle, int op_a, int op_b, int m, int n, int k, const void* alpha, const void* a, int a_type,
                 int lda, const void* b, int b_type, int ldb, const void* beta, void* c, int c_type, int ldc,
                 int compute_type, int algorithm) {
  return cublasGemmStridedBatchedEx(handle, op_a, op_b, m, n, k, alpha, a, a_type, lda, 0, b, b_type, ldb, 0, beta, c,
                                    c_type, ldc, 0, 1, compute_type, algorithm);
}
int cublasSgemmStridedBatched(void* handle, int op_a, int op_b, int m, int n, int k, const float* alpha, const float* a,
                              int lda, long long stride_a, const float* b, int ldb, long long stride_b,
                              const float* beta, float* c, int ldc, long long stride_c, int batches) {
  return cublasGemmStridedBatchedEx(handle, op_a, op_b, m, n, k, alpha, a, kFloat32, lda, stride_a, b, kFloat32, ldb,
                                    stride_b, beta, c, kFloat32, ldc, stride_c, batches, kCompute32, -1);
}
int cublasSgemm_v2(void* handle, int op_a, int op_b, int m, int n, int k, const float* alpha, const float* a, int lda,
                   const float* b, int ldb, const float* beta, float* c, int ldc) {
  return cublasSgemmStridedBatched(handle, op_a, op_b, m, n, k, alpha, a, lda, 0, b, ldb, 0, beta, c, ldc, 0, 1);
}
}
