// The contract of one CUDA op, shared by backend.cpp and kernels/NAME.cpp: `prepare` sees shapes and decides, `run`
// sees addresses too and enqueues launches of the kernels in NAME.cu, whose parameters are plain structures of NAME.h.
// run() is called while a graph is captured, once per plan (and again by profile()), so it may be simple, not quick.
// The rule easy to break: run() may only enqueue. It must not allocate, wait or read anything that a step changes: what
// it passes by value is frozen in the graph.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "backend.h"
#include "core/text.h"
#include "cuda/cublas.h"
#include "cuda/kernels/activation.h"
#include "cuda/kernels/fault.h"
#include "cuda/modules.h"

namespace gramian::cuda {

/** A tensor: rows x cols, cols = last dimension, row r begins at data + r * pitch elements. */
struct View {
  DType dtype = DType::f32;
  Shape shape;
  int64_t rows = 0, cols = 0, pitch = 0;
  void* data = nullptr;  // null in prepare

  float* floats() const { return static_cast<float*>(data); }
  int32_t* ints() const { return static_cast<int32_t*>(data); }
  uint8_t* bytes() const { return static_cast<uint8_t*>(data); }
  bool dense() const { return pitch == cols; }
  int64_t count() const { return rows * cols; }
  Matrix matrix() const { return {floats(), pitch}; }
};

View view_of(const Operand& operand);

/** What prepare may know of the device. */
struct DeviceFacts {
  int sm = 0;
  int multiprocessors = 0;
  int64_t shared_bytes = 0;  // the most dynamic shared memory that a block may ask for
};

/** One node of a plan. */
struct Call {
  const char* op = nullptr;
  std::vector<View> in, out;
  const std::vector<Attribute>* attrs = nullptr;  // those of the node; they live as long as the plan
  DeviceFacts device;
  bool bf16 = false;  // products take their factors as bfloat16

  // Filled by prepare:
  int64_t workspace_bytes = 0;    // 256-byte aligned at run, contents undefined at each step
  const char* variant = nullptr;  // static: the algorithm chosen, for describe()
  bool uses_blas = false;         // run() calls Queue::blas()

  void* workspace = nullptr;  // known to run

  const Attribute* find(const char* key) const {
    for (const Attribute& attr : *attrs)
      if (attr.key == key) return &attr;
    return nullptr;
  }
  /** contracts.cpp has made sure that what an op needs is there; `fallback` is for what the planner may add. */
  double number(const char* key, double fallback = 0) const {
    const Attribute* attr = find(key);
    return attr ? attr->number : fallback;
  }
  std::string string(const char* key) const {
    const Attribute* attr = find(key);
    return attr ? attr->string : "";
  }
  const std::vector<double>& list(const char* key) const { return find(key)->list; }
};

struct Grid {
  int64_t x = 1, y = 1, z = 1;
};

/** Where run() enqueues: a stream, in capture or not. Everything that one run() asks for happens in the order asked. */
class Queue {
 public:
  explicit Queue(Modules& modules) : modules_(modules) {}
  virtual ~Queue() = default;

  /** Launches `kernel` of kernels/<module>.cu, which takes one structure by value. Throws ERR_DEVICE. */
  template <typename Params>
  void launch(const char* module, const char* kernel, Grid grid, unsigned block, const Params& params,
              unsigned shared_bytes = 0) {
    static_assert(std::is_trivially_copyable_v<Params> && sizeof(Params) <= 4096);
    launch_bytes(module, kernel, grid, block, &params, sizeof params, shared_bytes);
  }
  void copy(void* to, const void* from, int64_t bytes);
  void zero(void* to, int64_t bytes);
  /** cuBLAS on this stream; only for a call whose prepare has set uses_blas. */
  const Blas& blas() const { return *blas_; }
  Stream stream() const { return stream_; }

  /** What a kernel reports bad data with (kernels/device.cuh); `sentence` is static and fails the step. */
  virtual Fault fault(const char* sentence) = 0;

 protected:
  void go_to(Stream stream, const Blas* blas) { stream_ = stream, blas_ = blas; }

 private:
  void launch_bytes(const char* module, const char* kernel, Grid grid, unsigned block, const void* params, size_t bytes,
                    unsigned shared_bytes);

  Modules& modules_;
  Stream stream_ = nullptr;
  const Blas* blas_ = nullptr;
};

struct Kernel {
  const char* op;
  void (*prepare)(Call& call);  // may throw ERR_SHAPE
  void (*run)(const Call& call, Queue& queue);
  /** Optional: calls that follow each other in a step, none of which touches what another writes; the same bits. */
  void (*run_many)(const std::vector<const Call*>& calls, Queue& queue) = nullptr;
};

/** The list a file of kernels/ exports; kernels/table.cpp names them all. */
struct KernelList {
  const Kernel* kernels;
  size_t count;
};
template <size_t N>
constexpr KernelList list_of(const Kernel (&kernels)[N]) {
  return {kernels, N};
}

inline void prepare_nothing(Call&) {}

/** y = x, any dtype and pitches: a copy of the driver's where both are dense. kernels/elementwise.cpp. */
void enqueue_copy(const View& x, const View& y, Queue& queue);

/** y = the sum of `count` dense parts of y's size, in a fixed order, perhaps normalised. kernels/partials.cpp. */
void enqueue_sum(const float* parts, int64_t count, const View& y, Queue& queue, const Norm& finish = {});

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/** Blocks for `items` threads of work, `block` to a block; the kernel strides over what is more than a full device. */
inline Grid grid_for(const Call& call, int64_t items, int64_t block, int64_t blocks_per_multiprocessor = 16) {
  const int64_t full = static_cast<int64_t>(call.device.multiprocessors) * blocks_per_multiprocessor;
  const int64_t wanted = ceil_div(items, block);
  return {wanted < full ? wanted : full};
}

}  // namespace gramian::cuda
