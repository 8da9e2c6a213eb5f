// The contract of one CPU kernel, shared by the planner (which fills KernelCall) and kernels/*.cpp (which are compiled
// once per ISA into their own namespace). C headers only, plain data only: nothing here may emit a symbol.
// The rule easy to break: `prepare` sees shapes but no data pointers; `run` sees both and must not allocate.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace gramian::cpu {

enum class DType : int32_t { f32 = 0, i32 = 1, u8 = 2 };

constexpr int kMaxRank = 6;
constexpr int kMaxInputs = 64;
constexpr int kMaxOutputs = 6;

// A tensor as a kernel sees it: rows x cols, cols = last dimension, row r begins at data + r * pitch elements.
struct View {
  void* data;
  DType dtype;
  int32_t rank;
  int64_t shape[kMaxRank];
  int64_t rows, cols, pitch;
};

// One attribute. Strings and lists live as long as the plan.
struct Attr {
  const char* key;
  double number;       // numbers and booleans
  const char* string;  // null unless a string
  const double* list;  // null unless a list
  int64_t list_size;
};

// How products take their factors; sums are float32 always. bf16: rounded to the nearest bfloat16, ties to even.
enum class Precision : int32_t {
  float32,
  bf16,       // rounded, then multiplied as float32
  bf16Pairs,  // two at a time by the processor's own instruction (AVX512-BF16)
};

// Runs body(context, i) for i in [0, count) on the pool; returns when all are done. Which thread takes which i is
// unspecified, so work must be split by shape into pieces that do not depend on each other.
struct Parallel {
  void (*run)(void* pool, int64_t count, void (*body)(void* context, int64_t index), void* context);
  void* pool;
};

struct KernelCall {
  View in[kMaxInputs];
  View out[kMaxOutputs];
  int32_t in_count, out_count;
  const Attr* attrs;
  int32_t attr_count;
  Precision precision;
  // Filled by prepare:
  int64_t workspace_bytes;                // scratch the plan reserves, 64-byte aligned, contents undefined at each run
  alignas(16) unsigned char params[512];  // the kernel's own plain struct
  const char* error;                      // static string; set when the call cannot be served
  const char* variant;                    // static string naming the algorithm chosen, shown by plan.describe()
  // Filled by the plan before run:
  void* workspace;
  Parallel parallel;
  // Set by run when data is bad (label out of range): a static string. The step then fails with ExecutionError.
  const char** failure;
};

struct Kernel {
  const char* op;
  void (*prepare)(KernelCall* call);
  void (*run)(const KernelCall* call);
};

// What one file of kernels/ exports, once per ISA; kernels/table.cpp gathers the lists of each ISA.
struct KernelList {
  const Kernel* kernels;
  int32_t count;
};

}  // namespace gramian::cpu
