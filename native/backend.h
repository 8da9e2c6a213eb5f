// The seam between planning and devices: what a device must offer. native/cpu/backend.cpp and native/cuda/ implement
// it; native/plan/ uses it; only native/binding/module.cpp knows which ones exist.
// The rule easy to break: find_kernel sees shapes and pitches but no memory, bind gives the memory once, and no step
// may allocate. A device that runs a step as a whole returns a Recording; one that is told launch by launch returns
// none.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "graph/graph.h"

namespace gramian {

/** A tensor as a kernel sees it: rows x cols, cols = last dimension, row r begins at data + r * pitch elements. */
struct Operand {
  DType dtype = DType::f32;
  Shape shape;
  int64_t pitch = 0;
  void* data = nullptr;
};

inline int64_t count_of(const Shape& shape) {
  int64_t count = 1;
  for (int64_t size : shape) count *= size;
  return count;
}

/** What to launch. The attributes live as long as the plan. */
struct LaunchSpec {
  const char* op = nullptr;
  const char* name = nullptr;
  std::vector<Operand> inputs, outputs;
  const std::vector<Attribute>* attrs = nullptr;
};

/** A kernel chosen for one launch; each backend derives its own. */
class Launch {
 public:
  virtual ~Launch() = default;
  int64_t workspace_bytes = 0;
  const char* variant = nullptr;  // the algorithm chosen, for describe(); null when there is only one
};

/** What a step runs, reads from the host and leaves for it, once every launch has its addresses. */
struct StepSpec {
  struct Feed {
    int64_t offset = 0, bytes = 0;
  };
  std::vector<Launch*> launches;
  std::vector<int32_t> lines;  // by launch: 0, or a queue beside the one of the longest way through the step
  void* inputs = nullptr;      // one block of device memory holds what is fed
  int64_t input_bytes = 0;
  std::vector<Feed> feeds;       // places of the inputs in it, in order
  std::vector<Operand> outputs;  // with their addresses
};

/** A static sentence saying what was wrong with a step's data, and the launch that found it; null when all was well. */
struct Failure {
  const char* sentence = nullptr;
  size_t launch = 0;
};

/** A whole step as a device keeps it: steps are queued, and collected in the same order. */
class Recording {
 public:
  /** Steps that may have begun before the first of them is finished. */
  static constexpr int kDepth = 2;

  virtual ~Recording() = default;
  /** Copies the values of the step that begins next, dense, and returns before they have arrived. */
  virtual void feed(const std::vector<const void*>& values) = 0;
  virtual void begin() = 0;
  /** Waits for the oldest step that has begun; copies its outputs, dense, unless its data was wrong. */
  virtual Failure finish(const std::vector<void*>& outputs) = 0;
  /** Waits for everything that was queued and forgets its outputs. */
  virtual void abandon() noexcept = 0;
  /** Runs one step launch by launch, and adds the seconds of each. */
  virtual Failure profile(double* seconds) = 0;
};

/** What the planner may join only where the device has a kernel for it; one for each pass that does. */
enum class Fusion { fold_batch_norms, fold_activations, backward, separable, finish, sums, residual };

class Backend {
 public:
  virtual ~Backend() = default;
  virtual const char* id() const = 0;
  virtual const char* isa() const = 0;
  virtual int threads() const = 0;
  /** float32, or bf16 when products take their factors so. */
  virtual const char* precision() const = 0;

  /** Memory of the device, 64-byte aligned. Throws ERR_DEVICE when there is not enough. */
  virtual void* allocate(int64_t bytes) = 0;
  virtual void release(void* memory, int64_t bytes) noexcept = 0;
  /** Copies `rows` rows of `row_bytes` bytes; each side's rows are its pitch (in bytes) apart. */
  virtual void upload(void* device, int64_t device_pitch, const void* host, int64_t rows, int64_t row_bytes) = 0;
  virtual void download(void* host, const void* device, int64_t device_pitch, int64_t rows, int64_t row_bytes) = 0;

  /** Chooses a kernel for these shapes. Throws ERR_SHAPE or ERR_GRAPH when the call cannot be served. */
  virtual std::unique_ptr<Launch> find_kernel(const LaunchSpec& spec) = 0;
  /** Fixes the addresses, in the order of the spec's inputs and outputs. */
  virtual void bind(Launch& launch, const std::vector<void*>& inputs, const std::vector<void*>& outputs,
                    void* workspace) = 0;

  virtual bool fuses(Fusion) const { return true; }
  /** How many launches it may work on side by side; 1: one after the other. */
  virtual int queues() const { return 1; }

  /** Keeps a whole step, all of whose launches are bound; null when the launches are to be run one by one. */
  virtual std::unique_ptr<Recording> record(const StepSpec&) { return nullptr; }
  /** Runs one launch; returns null, or a static sentence saying what was wrong with the data. */
  virtual const char* run(Launch& launch) = 0;
};

/** What a backend factory is asked for. */
struct BackendOptions {
  int threads = 0;           // 0: as many as the process may use
  std::string isa = "auto";  // auto, scalar, sse, avx2, avx512
  bool bf16 = false;         // products take their factors as bfloat16
  int device_index = 0;      // of several CUDA devices
  bool tf32 = false;         // cuBLAS may round factors to TF32
  int64_t memory_limit = 0;  // bytes of a CUDA device's memory that may be used; 0: no limit
};

/** A device as `devices()` reports it. `reason` is empty when it is available. */
struct DeviceReport {
  std::string id;
  bool available = false;
  bool bf16 = false;  // whether precision bf16 is
  std::string isa;
  int threads = 0;
  std::string reason;
  std::string name, driver, toolkit, image;  // of a CUDA device: what it is, CUDA's versions, what it would run
  int64_t memory_bytes = 0;                  // its memory
};

namespace cpu {
DeviceReport report();
/** The tier that an `isa` stands for, `auto` included. Throws ERR_ARGUMENT or ERR_DEVICE. */
const char* tier_of(const std::string& isa);
std::unique_ptr<Backend> create(const BackendOptions& options);
}  // namespace cpu
namespace cuda {
DeviceReport report();
std::unique_ptr<Backend> create(const BackendOptions& options);

/** The compiled kernels as the addon holds them, compressed by brotli; no bytes once they were unpacked. */
struct PackedImages {
  const unsigned char* bytes = nullptr;
  size_t count = 0;
};
PackedImages packed_images();
/** Keeps a copy of the kernels for the whole process. Throws ERR_ARGUMENT for another number of bytes than packed. */
void unpack_images(const unsigned char* bytes, size_t count);
}  // namespace cuda

}  // namespace gramian
