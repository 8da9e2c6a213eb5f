// The CPU as a backend: kernels of one instruction set tier, a thread pool, plain memory. Created per engine by
// binding/module.cpp. The rule easy to break: KernelCall points at attribute strings owned by the plan, so a launch
// must not outlive it.
#include "backend.h"

#include <sched.h>
#include <string.h>

#include "core/text.h"
#include "core/thread_pool.h"
#include "cpu/isa.h"
#include "cpu/kernel.h"
#include "cpu/kernels/table.h"
#include "cpu/memory.h"

namespace gramian::cpu {
namespace {

int usable_threads() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  const int count = CPU_COUNT(&set);
  return count < 1 ? 1 : count > 256 ? 256 : count;
}

class CpuLaunch final : public Launch {
 public:
  KernelCall call = {};
  const Kernel* kernel = nullptr;
  std::vector<Attr> attrs;
  const char* failure = nullptr;
};

View view_of(const Operand& operand) {
  View view = {};
  view.dtype = static_cast<cpu::DType>(operand.dtype);
  view.rank = static_cast<int32_t>(operand.shape.size());
  int64_t count = 1;
  for (int32_t i = 0; i < view.rank; ++i) {
    view.shape[i] = operand.shape[i];
    count *= operand.shape[i];
  }
  view.cols = operand.shape.back();
  view.rows = count / view.cols;
  view.pitch = operand.pitch;
  return view;
}

void pool_run(void* pool, int64_t count, void (*body)(void* context, int64_t index), void* context) {
  static_cast<ThreadPool*>(pool)->run(count, body, context);
}

class CpuBackend final : public Backend {
 public:
  CpuBackend(Isa isa, int threads, Precision precision) : isa_(isa), threads_(threads), precision_(precision) {}

  const char* id() const override { return "cpu"; }
  const char* isa() const override { return isa_name(isa_); }
  int threads() const override { return threads_; }
  const char* precision() const override { return precision_ == Precision::float32 ? "float32" : "bf16"; }

  void* allocate(int64_t bytes) override {
    void* memory = cpu::allocate(bytes);
    if (!memory) throw Error(Code::device, cat("[cpu] not enough memory for ", bytes, " bytes"));
    return memory;
  }
  void release(void* memory, int64_t bytes) noexcept override { cpu::release(memory, bytes); }

  void upload(void* device, int64_t device_pitch, const void* host, int64_t rows, int64_t row_bytes) override {
    copy(device, device_pitch, host, row_bytes, rows, row_bytes);
  }
  void download(void* host, const void* device, int64_t device_pitch, int64_t rows, int64_t row_bytes) override {
    copy(host, row_bytes, device, device_pitch, rows, row_bytes);
  }

  std::unique_ptr<Launch> find_kernel(const LaunchSpec& spec) override {
    const Kernel* kernel = cpu::find_kernel(isa_, spec.op);
    if (!kernel) throw Error(Code::graph, cat("[", spec.op, "] the cpu has no kernel for this op"));
    if (spec.inputs.size() > kMaxInputs || spec.outputs.size() > kMaxOutputs)
      throw Error(Code::graph, cat("[", spec.op, "] a kernel takes up to ", kMaxInputs, " inputs and ", kMaxOutputs,
                                   " outputs, got ", spec.inputs.size(), " and ", spec.outputs.size()));
    auto launch = std::make_unique<CpuLaunch>();
    launch->kernel = kernel;
    for (const Attribute& attr : *spec.attrs)
      launch->attrs.push_back(
          {attr.key.c_str(), attr.number, attr.type == Attribute::Type::string ? attr.string.c_str() : nullptr,
           attr.type == Attribute::Type::list ? attr.list.data() : nullptr, static_cast<int64_t>(attr.list.size())});
    KernelCall& call = launch->call;
    call.precision = precision_;
    call.attrs = launch->attrs.data();
    call.attr_count = static_cast<int32_t>(launch->attrs.size());
    for (const Operand& operand : spec.inputs) call.in[call.in_count++] = view_of(operand);
    for (const Operand& operand : spec.outputs) call.out[call.out_count++] = view_of(operand);
    kernel->prepare(&call);
    if (call.error) throw Error(Code::shape, cat("[", spec.op, "] ", call.error, " (node \"", spec.name, "\")"));
    launch->workspace_bytes = call.workspace_bytes;
    launch->variant = call.variant;
    return launch;
  }

  void bind(Launch& launch, const std::vector<void*>& inputs, const std::vector<void*>& outputs,
            void* workspace) override {
    auto& mine = static_cast<CpuLaunch&>(launch);
    if (!pool_) pool_ = std::make_unique<ThreadPool>(threads_);
    for (size_t i = 0; i < inputs.size(); ++i) mine.call.in[i].data = inputs[i];
    for (size_t i = 0; i < outputs.size(); ++i) mine.call.out[i].data = outputs[i];
    mine.call.workspace = workspace;
    mine.call.parallel = {pool_run, pool_.get()};
    mine.call.failure = &mine.failure;
  }

  const char* run(Launch& launch) override {
    auto& mine = static_cast<CpuLaunch&>(launch);
    mine.failure = nullptr;
    mine.kernel->run(&mine.call);
    return mine.failure;
  }

 private:
  static void copy(void* to, int64_t to_pitch, const void* from, int64_t from_pitch, int64_t rows, int64_t row_bytes) {
    if (to_pitch == row_bytes && from_pitch == row_bytes) {
      memcpy(to, from, rows * row_bytes);
      return;
    }
    auto* target = static_cast<char*>(to);
    auto* source = static_cast<const char*>(from);
    for (int64_t r = 0; r < rows; ++r) memcpy(target + r * to_pitch, source + r * from_pitch, row_bytes);
  }

  Isa isa_;
  int threads_;
  Precision precision_;
  std::unique_ptr<ThreadPool> pool_;  // made by the first bind, so that analyze() starts no threads
};

}  // namespace

DeviceReport report() {
  DeviceReport about;
  about.id = "cpu";
  about.available = about.bf16 = true;
  about.isa = isa_name(best_isa());
  about.threads = usable_threads();
  return about;
}

const char* tier_of(const std::string& isa) { return isa_name(choose_isa(isa)); }

std::unique_ptr<Backend> create(const BackendOptions& options) {
  const int threads = options.threads > 0 ? options.threads : usable_threads();
  const Isa isa = choose_isa(options.isa);
  const Precision precision = !options.bf16         ? Precision::float32
                              : has_bf16_pairs(isa) ? Precision::bf16Pairs
                                                    : Precision::bf16;
  return std::make_unique<CpuBackend>(isa, threads, precision);
}

}  // namespace gramian::cpu
