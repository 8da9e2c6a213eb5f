// A plan with memory: persistent tensors in a store that plans may share, one arena for everything else. Made on the
// JavaScript thread, run on the engine's thread.
// The rule easy to break: after construction only the engine's thread may touch the memory.
#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "plan/plan.h"

namespace gramian {

/** Device memory that is released with its owner. */
class Memory {
 public:
  Memory(std::shared_ptr<Backend> backend, int64_t bytes)
      : backend_(std::move(backend)), bytes_(bytes), data_(backend_->allocate(bytes)) {}
  ~Memory() { backend_->release(data_, bytes_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  void* data() const { return data_; }

 private:
  std::shared_ptr<Backend> backend_;
  int64_t bytes_;
  void* data_;
};

struct Persistent {
  Shape shape;
  DType dtype;
  int64_t bytes;
  std::shared_ptr<Memory> memory;
  /** How often its values may have changed; counted where steps run and values are written, one at a time. */
  int64_t changes = 0;
};

/** Persistent tensors by name, shared by the plans of one engine. Changed on the JavaScript thread only. */
using Store = std::map<std::string, std::shared_ptr<Persistent>>;

class Executable {
 public:
  /**
   * Allocates and binds; adds the persistent tensors that `store` lacks and initialises those. Throws ERR_GRAPH when a
   * tensor of the store has another shape or dtype, ERR_DEVICE when memory runs out; the store is then unchanged.
   */
  Executable(Plan plan, std::shared_ptr<Backend> backend, Store& store);

  const Plan& plan() const { return plan_; }
  Backend& backend() const { return *backend_; }
  const std::vector<int32_t>& inputs() const { return inputs_; }
  /** Bytes this plan allocated: its arena, inputs and consts, and the persistent tensors it brought. */
  int64_t allocated_bytes() const { return allocated_bytes_; }
  const Tensor& tensor(int32_t id) const { return plan_.graph.tensors[id]; }
  /** The persistent tensor of that name; null when the plan has none. */
  Persistent* find(const std::string& name) const;

  /** How many steps may have begun before the first of them is finished. */
  int64_t depth() const { return recording_ ? Recording::kDepth : 1; }
  /** Checks fed labels and indices, then copies the fed values (dense, in the order of inputs()) to the device. */
  void feed(const std::vector<const void*>& values);
  /** Begins a step; false when `cancelled` was seen between two launches. Throws ERR_EXECUTION. */
  bool begin(const std::atomic<bool>& cancelled);
  /** Waits for the oldest step that has begun and copies its outputs out, dense and in order. Throws ERR_EXECUTION. */
  void finish(const std::vector<void*>& outputs);
  /** Waits for the steps that have begun and forgets them. */
  void abandon() noexcept;
  /** Runs one step and adds each launch's time to `seconds`; false when `cancelled` was seen. Throws ERR_EXECUTION. */
  bool profile(const std::atomic<bool>& cancelled, double* seconds);

 private:
  void allocate_storages();
  std::shared_ptr<Memory> allocate(int64_t bytes);
  void fill(const Tensor& tensor, void* memory) const;
  void allocate_inputs();
  void bind();
  void record();
  bool run_launches(const std::atomic<bool>& cancelled, double* seconds);
  void check(const Failure& failure) const;
  void read_output(size_t index, void* to) const;
  void* address(int32_t id) const;
  void check_range(const RangeCheck& check, const int32_t* values) const;
  void prepare_step();

  std::shared_ptr<Backend> backend_;
  Plan plan_;
  std::vector<int32_t> inputs_;
  std::vector<std::shared_ptr<Memory>> memory_;  // by storage; empty for temps and inputs
  std::vector<StepSpec::Feed> feeds_;            // by input
  std::vector<char*> input_address_;             // by storage; null for all others
  int64_t input_bytes_ = 0;
  std::shared_ptr<Memory> inputs_memory_;
  std::shared_ptr<Memory> arena_;
  std::map<std::string, std::shared_ptr<Persistent>> persistent_;
  int64_t allocated_bytes_ = 0;
  std::vector<Persistent*> updated_;  // by the plan, where they are whole numbers
  std::vector<int64_t> checked_;      // by check: the changes of its tensor when that was found right; -1 for never
  std::vector<int32_t> scratch_;      // labels read back for their check
  std::unique_ptr<Recording> recording_;
};

}  // namespace gramian
