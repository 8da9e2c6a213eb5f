// A plan's step as one CUDA graph, and what is needed to feed it and to fetch its outputs. Made by the backend at
// compile. The rule easy to break: a warm step allocates nothing and waits once, for the event behind its outputs.
#pragma once
#include <mutex>
#include <vector>

#include "cuda/kernel.h"

namespace gramian::cuda {

/** What a recording needs of its backend, which outlives it. */
struct Host {
  virtual ~Host() = default;
  virtual Context context() const = 0;
  virtual Modules& modules() = 0;
  /** Where steps run, and what they are fed and leave is copied. */
  virtual Stream stream() const = 0;
  /**
   * Held while launches are enqueued one by one, to be captured or timed: on streams of their own, since a plan may be
   * compiled on one thread while the steps of another run from the engine's. What follows, and modules(), need it.
   */
  virtual std::mutex& enqueuing() = 0;
  /** The stream of a line (turns.h) to enqueue on, and cuBLAS on it; each made at its first use. */
  virtual Stream stream(size_t line) = 0;
  virtual const Blas* blas(size_t line) = 0;
  virtual void* allocate(int64_t bytes) = 0;
  virtual void release(void* memory, int64_t bytes) noexcept = 0;
};

/** Makes the context current for a scope: the engine's thread and JavaScript's use the same one. */
class Scope {
 public:
  explicit Scope(Context context) { driver().push_context(context); }
  ~Scope() {
    Context ignored;
    driver().pop_context.attempt(&ignored);
  }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
};

/** The same for giving things back: never throws. A call may fail once for a reason of its own; twice, and there is no
 * context any more, as after a lost device, nor anything to give back. */
class LastScope {
 public:
  explicit LastScope(Context context) noexcept
      : entered_(driver().push_context.attempt(context) == 0 || driver().push_context.attempt(context) == 0) {}
  ~LastScope() {
    Context ignored;
    if (entered_) driver().pop_context.attempt(&ignored);
  }
  LastScope(const LastScope&) = delete;
  LastScope& operator=(const LastScope&) = delete;
  bool entered() const { return entered_; }

 private:
  const bool entered_;
};

/** A node with its kernel. */
class CudaLaunch final : public Launch {
 public:
  Call call;
  const Kernel* kernel = nullptr;
};

class CudaRecording final : public Recording {
 public:
  /** Captures the step. Throws ERR_DEVICE. */
  CudaRecording(Host& host, const StepSpec& spec);
  ~CudaRecording() override;

  void feed(const std::vector<const void*>& values) override;
  void begin() override;
  Failure finish(const std::vector<void*>& outputs) override;
  void abandon() noexcept override;
  Failure profile(double* seconds) override;

 private:
  /** One step under way: what it was fed from and where its outputs arrive, both in pinned memory. */
  struct Slot {
    char* fed = nullptr;
    char* left = nullptr;
    Event done = nullptr;
  };
  class Recorder;
  class Capture;

  void lay_out_outputs();
  void make_memory();
  void capture();
  void enqueue_outputs(Queue& queue);
  Failure failure_in(const char* left) const;
  void release() noexcept;

  Host& host_;
  const Stream stream_;  // of the steps
  const StepSpec spec_;
  std::vector<int64_t> output_offsets_;  // of the block that outputs are gathered in; its first word is the fault's
  int64_t left_bytes_ = 0;
  char* left_ = nullptr;  // that block, on the device
  Slot slots_[kDepth];
  GraphExec exec_ = nullptr;
  int64_t begun_ = 0, finished_ = 0;
  std::vector<Failure> sentences_;  // by fault code
  std::vector<Event> marks_;        // of profile(), one more than launches
};

}  // namespace gramian::cuda
