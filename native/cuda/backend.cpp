// A CUDA device as a backend: memory through the driver, a step on some streams as one captured graph (recording.cpp).
// Created per engine by binding/module.cpp. The rule easy to break: planning alone (analyze) touches no device memory
// and makes no context; the first allocation does.
#include "backend.h"

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "core/text.h"
#include "cuda/kernels/table.h"
#include "cuda/recording.h"

namespace gramian::cuda {
namespace {

constexpr int64_t kAlign = 256;
constexpr int kOldestSm = 75, kOldestBf16Sm = 80;
constexpr int kMostStreams = 8, kStreams = 3;

/** A device as the driver describes it. */
struct Facts {
  int handle = 0;
  DeviceFacts device;
  std::string name;
  int64_t memory_bytes = 0;
};

int attribute(int device, int which) {
  int value = 0;
  driver().device_attribute(&value, which, device);
  return value;
}

/** Throws ERR_DEVICE for an index that no device has. */
Facts facts_of(int index) {
  int count = 0;
  driver().device_count(&count);
  if (index >= count)
    throw Error(Code::device, cat("[cuda] expected a deviceIndex from 0 to ", count - 1, ", got ", index));
  Facts facts;
  driver().device(&facts.handle, index);
  char name[128] = "";
  driver().device_name(name, sizeof name, facts.handle);
  facts.name = name;
  size_t bytes = 0;
  driver().device_memory(&bytes, facts.handle);
  facts.memory_bytes = static_cast<int64_t>(bytes);
  facts.device.sm = attribute(facts.handle, kMajor) * 10 + attribute(facts.handle, kMinor);
  facts.device.multiprocessors = attribute(facts.handle, kMultiprocessors);
  facts.device.shared_bytes = attribute(facts.handle, kMaxSharedOptin);
  return facts;
}

/** Why this device cannot run our kernels; empty when it can. */
std::string problem_of(const Facts& facts) {
  const int sm = facts.device.sm;
  if (sm < kOldestSm) return cat(facts.name, " is sm_", sm, ", expected sm_", kOldestSm, " (RTX 20 series) or newer");
  if (image_name(sm).empty()) return cat("the addon holds no kernels for ", facts.name, " (sm_", sm, ")");
  return blas_problem();
}

/** Why this device cannot multiply bfloat16; empty when it can. */
std::string bf16_problem(const Facts& facts) {
  const Image* image = choose_image("product_bf16", facts.device.sm);
  const int sm = image && image->ptx ? image->sm : facts.device.sm;
  if (sm >= kOldestBf16Sm) return "";
  return cat(facts.name, " runs kernels of sm_", sm, ", whose tensor cores do not multiply bfloat16: expected sm_",
             kOldestBf16Sm, " (RTX 30 series) or newer, or precision float32");
}

/** Why CUDA is off before any device was looked at. */
std::string early_problem() {
  if (kImageCount == 0) return "this build has no CUDA kernels, because nvcc was not there when it was made";
  return driver_problem();
}

/** GRAMIAN_CUDA_JOIN=0: every node has a launch of its own, to compare with. */
bool apart() {
  const char* join = getenv("GRAMIAN_CUDA_JOIN");
  return join && strcmp(join, "0") == 0;
}

/** Streams of a step: kStreams, or GRAMIAN_CUDA_STREAMS. Throws ERR_DEVICE for what is not from 1 to kMostStreams. */
int streams_of_step() {
  const char* asked = getenv("GRAMIAN_CUDA_STREAMS");
  if (!asked || !*asked) return kStreams;
  int streams = 0;
  const char* end = asked + strlen(asked);
  const auto [rest, failure] = std::from_chars(asked, end, streams);
  if (failure != std::errc() || rest != end || streams < 1 || streams > kMostStreams)
    throw Error(Code::device, cat("[cuda] expected GRAMIAN_CUDA_STREAMS to be a whole number from 1 to ", kMostStreams,
                                  ", got '", asked, "'"));
  return streams;
}

class CudaBackend final : public Backend, public Host {
 public:
  CudaBackend(const BackendOptions& options, Facts facts)
      : facts_(std::move(facts)),
        isa_(cat("sm_", facts_.device.sm)),
        limit_(options.memory_limit),
        bf16_(options.bf16),
        tf32_(options.tf32),
        modules_(facts_.device.sm) {}

  ~CudaBackend() override {
    if (!context_) return;
    give_back();
    driver().release_context.attempt(facts_.handle);
  }

  const char* id() const override { return "cuda"; }
  const char* isa() const override { return isa_.c_str(); }
  int threads() const override { return 0; }
  const char* precision() const override { return bf16_ ? "bf16" : "float32"; }

  bool fuses(Fusion fusion) const override { return joins_ && cuda::fuses(fusion); }
  int queues() const override { return streams_; }

  void* allocate(int64_t bytes) override {
    if (limit_ > 0 && used_ + bytes > limit_)
      throw Error(Code::device, cat("[cuda] expected at most ", limit_, " bytes of device memory (memoryLimit), but ",
                                    used_, " are in use and ", bytes, " more are needed"));
    const Scope scope(opened());
    DevicePointer memory = 0;
    driver().allocate(&memory, static_cast<size_t>(bytes));
    used_ += bytes;
    return reinterpret_cast<void*>(memory);
  }

  void release(void* memory, int64_t bytes) noexcept override {
    const LastScope scope(context_);
    if (scope.entered()) driver().free.attempt(reinterpret_cast<DevicePointer>(memory));
    used_ -= bytes;
  }

  // In the stream's order, and done when the call returns; a step in flight is never overtaken.
  void upload(void* device, int64_t device_pitch, const void* host, int64_t rows, int64_t row_bytes) override {
    const Scope scope(opened());
    const bool dense = device_pitch == row_bytes;
    const int64_t pieces = dense ? 1 : rows, bytes = dense ? rows * row_bytes : row_bytes;
    for (int64_t r = 0; r < pieces; ++r)
      driver().upload(reinterpret_cast<DevicePointer>(device) + static_cast<uint64_t>(r * device_pitch),
                      static_cast<const char*>(host) + r * row_bytes, static_cast<size_t>(bytes), stream_);
    driver().synchronize(stream_);
  }

  void download(void* host, const void* device, int64_t device_pitch, int64_t rows, int64_t row_bytes) override {
    const Scope scope(opened());
    const bool dense = device_pitch == row_bytes;
    const int64_t pieces = dense ? 1 : rows, bytes = dense ? rows * row_bytes : row_bytes;
    for (int64_t r = 0; r < pieces; ++r)
      driver().download(static_cast<char*>(host) + r * row_bytes,
                        reinterpret_cast<DevicePointer>(device) + static_cast<uint64_t>(r * device_pitch),
                        static_cast<size_t>(bytes), stream_);
    driver().synchronize(stream_);
  }

  std::unique_ptr<Launch> find_kernel(const LaunchSpec& spec) override {
    const Kernel* kernel = cuda::find_kernel(spec.op);
    if (!kernel) throw Error(Code::graph, cat("[", spec.op, "] cuda has no kernel for this op"));
    auto launch = std::make_unique<CudaLaunch>();
    launch->kernel = kernel;
    Call& call = launch->call;
    call.op = kernel->op;
    for (const Operand& operand : spec.inputs) call.in.push_back(view_of(operand));
    for (const Operand& operand : spec.outputs) call.out.push_back(view_of(operand));
    for (const auto* views : {&call.in, &call.out})
      for (const View& view : *views)
        if (view.rows * view.pitch > INT32_MAX)
          throw Error(Code::shape, cat("[", spec.op, "] a tensor on cuda has less than 2^31 elements, got ", view.shape,
                                       " (node \"", spec.name, "\")"));
    call.attrs = spec.attrs;
    call.device = facts_.device;
    call.bf16 = bf16_;
    kernel->prepare(call);
    // The planner aligns to 64 bytes; kernels are promised more.
    if (call.workspace_bytes > 0) launch->workspace_bytes = call.workspace_bytes + kAlign;
    launch->variant = call.variant;
    return launch;
  }

  void bind(Launch& launch, const std::vector<void*>& inputs, const std::vector<void*>& outputs,
            void* workspace) override {
    Call& call = static_cast<CudaLaunch&>(launch).call;
    for (size_t i = 0; i < inputs.size(); ++i) call.in[i].data = inputs[i];
    for (size_t i = 0; i < outputs.size(); ++i) call.out[i].data = outputs[i];
    const auto at = reinterpret_cast<uintptr_t>(workspace);
    call.workspace = reinterpret_cast<void*>((at + kAlign - 1) / kAlign * kAlign);
  }

  std::unique_ptr<Recording> record(const StepSpec& spec) override {
    opened();
    return std::make_unique<CudaRecording>(*this, spec);
  }
  const char* run(Launch&) override { return "[cuda] launches run in a recording only"; }

  Context context() const override { return context_; }
  Modules& modules() override { return modules_; }
  Stream stream() const override { return stream_; }
  std::mutex& enqueuing() override { return enqueuing_; }
  Stream stream(size_t line) override {
    const Scope scope(opened());
    return lines_[line].opened();
  }
  const Blas* blas(size_t line) override { return lines_[line].blas(*this); }

 private:
  /** A stream with a cuBLAS of its own, each made at its first use. */
  struct Line {
    Stream stream = nullptr;
    void* workspace = nullptr;
    std::unique_ptr<Blas> handle;

    Stream opened() {
      if (!stream) driver().create_stream(&stream, kStreamNonBlocking);
      return stream;
    }
    const Blas* blas(CudaBackend& backend) {
      if (handle) return handle.get();
      const Scope scope(backend.opened());
      if (!workspace) workspace = backend.allocate(backend.blas_bytes());
      handle = std::make_unique<Blas>(opened(), workspace, backend.blas_bytes(), backend.tf32_);
      return handle.get();
    }
    void give_back(CudaBackend& backend) noexcept {
      handle.reset();
      if (workspace) backend.release(workspace, backend.blas_bytes());
    }
    void close() noexcept {
      if (stream) driver().destroy_stream.attempt(stream);
    }
  };

  /** The context, made with the stream at the first call. */
  Context opened() {
    if (stream_) return context_;
    if (!context_) driver().retain_context(&context_, facts_.handle);
    const Scope scope(context_);
    driver().create_stream(&stream_, kStreamNonBlocking);
    return context_;
  }
  void give_back() noexcept {
    const LastScope scope(context_);
    if (!scope.entered()) return;
    for (Line& line : lines_) line.give_back(*this);
    modules_.unload();
    for (Line& line : lines_) line.close();
    if (stream_) driver().destroy_stream.attempt(stream_);
  }
  /** What cuBLAS's manual recommends as a workspace. */
  int64_t blas_bytes() const { return int64_t{facts_.device.sm >= 90 ? 32 : 4} << 20; }

  const Facts facts_;
  const std::string isa_;
  const int64_t limit_;
  const bool bf16_, tf32_;
  const bool joins_ = !apart();
  const int streams_ = streams_of_step();
  int64_t used_ = 0;
  Context context_ = nullptr;
  Stream stream_ = nullptr;
  std::mutex enqueuing_;
  Modules modules_;
  Line lines_[kMostStreams];
};

}  // namespace

View view_of(const Operand& operand) {
  View view;
  view.dtype = operand.dtype;
  view.shape = operand.shape;
  view.cols = operand.shape.back();
  view.rows = count_of(operand.shape) / view.cols;
  view.pitch = operand.pitch;
  view.data = operand.data;
  return view;
}

DeviceReport report() {
  DeviceReport about;
  about.id = "cuda";
  about.toolkit = kToolkit;
  about.reason = early_problem();
  if (!about.reason.empty()) return about;
  try {
    int version = 0;
    driver().version(&version);
    about.driver = version_text(version);
    const Facts facts = facts_of(0);
    about.name = facts.name;
    about.isa = cat("sm_", facts.device.sm);
    about.memory_bytes = facts.memory_bytes;
    about.image = image_name(facts.device.sm);
    about.reason = problem_of(facts);
    about.bf16 = about.reason.empty() && bf16_problem(facts).empty();
  } catch (const Error& error) {
    about.reason = error.what();
  }
  about.available = about.reason.empty();
  return about;
}

std::unique_ptr<Backend> create(const BackendOptions& options) {
  std::string problem = early_problem();
  Facts facts;
  if (problem.empty()) {
    facts = facts_of(options.device_index);
    problem = problem_of(facts);
  }
  if (!problem.empty()) throw Error(Code::device, cat("[cuda] the device is not available: ", problem));
  if (options.bf16) problem = bf16_problem(facts);
  if (!problem.empty()) throw Error(Code::device, cat("[cuda] precision bf16 is not available: ", problem));
  return std::make_unique<CudaBackend>(options, std::move(facts));
}

}  // namespace gramian::cuda
