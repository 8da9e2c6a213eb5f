// See recording.h.
#include "cuda/recording.h"

#include <cstring>

namespace gramian::cuda {
namespace {

constexpr int64_t kAlign = 256;

int64_t aligned(int64_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

DevicePointer address(const void* memory) { return reinterpret_cast<DevicePointer>(memory); }

}  // namespace

void Queue::launch_bytes(const char* module, const char* kernel, Grid grid, unsigned block, const void* params,
                         size_t bytes, unsigned shared_bytes) {
  const Function function = modules_.find(module, kernel, bytes, shared_bytes);
  if (grid.x > INT32_MAX || grid.y > 65535 || grid.z > 65535)
    throw Error(Code::shape, cat("[cuda] ", kernel, " needs more blocks than a grid has"));
  void* list[] = {const_cast<void*>(params)};
  driver().launch(function, static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y), static_cast<unsigned>(grid.z),
                  block, 1, 1, shared_bytes, stream_, list, nullptr);
}

void Queue::copy(void* to, const void* from, int64_t bytes) {
  driver().copy(address(to), address(from), static_cast<size_t>(bytes), stream_);
}

void Queue::zero(void* to, int64_t bytes) { driver().set_bytes(address(to), 0, static_cast<size_t>(bytes), stream_); }

/** The queue of a recording: faults get their number in the order of the step. */
class CudaRecording::Recorder final : public Queue {
 public:
  Recorder(CudaRecording& recording)
      : Queue(recording.host_.modules(), recording.host_.stream(), blas_of(recording)), recording_(recording) {}

  void run(size_t launch) {
    launch_ = launch;
    const auto& mine = static_cast<const CudaLaunch&>(*recording_.spec_.launches[launch]);
    mine.kernel->run(mine.call, *this);
  }

  /** All of them, neighbours of one kernel that can be joined at once. */
  void run_all() {
    const std::vector<Launch*>& launches = recording_.spec_.launches;
    for (size_t i = 0; i < launches.size();) {
      const Kernel* kernel = static_cast<const CudaLaunch*>(launches[i])->kernel;
      std::vector<const Call*> calls;
      size_t end = i;
      for (; kernel->run_many && end < launches.size(); ++end) {
        const auto& next = static_cast<const CudaLaunch&>(*launches[end]);
        if (next.kernel != kernel) break;
        calls.push_back(&next.call);
      }
      if (calls.size() > 1) {
        launch_ = i;
        kernel->run_many(calls, *this);
        i = end;
      } else {
        run(i++);
      }
    }
  }

  /** Made before the capture begins, because it allocates; null when no launch asks for it. */
  static Blas* blas_of(CudaRecording& recording) {
    for (const Launch* launch : recording.spec_.launches)
      if (static_cast<const CudaLaunch*>(launch)->call.uses_blas) return recording.host_.blas();
    return nullptr;
  }

  Fault fault(const char* sentence) override {
    auto& known = recording_.sentences_;
    auto* word = reinterpret_cast<unsigned*>(recording_.left_);
    for (size_t i = 0; i < known.size(); ++i)
      if (known[i].launch == launch_ && known[i].sentence == sentence) return {word, static_cast<unsigned>(i)};
    known.push_back({sentence, launch_});
    return {word, static_cast<unsigned>(known.size() - 1)};
  }

 private:
  CudaRecording& recording_;
  size_t launch_ = 0;
};

CudaRecording::CudaRecording(Host& host, const StepSpec& spec) : host_(host), spec_(spec) {
  const Scope scope(host_.context());
  try {
    lay_out_outputs();
    make_memory();
    capture();
  } catch (...) {
    release();
    throw;
  }
}

CudaRecording::~CudaRecording() {
  abandon();
  const LastScope scope(host_.context());
  if (scope.entered()) release();
}

void CudaRecording::lay_out_outputs() {
  left_bytes_ = kAlign;
  for (const Operand& output : spec_.outputs) {
    output_offsets_.push_back(left_bytes_);
    left_bytes_ += aligned(count_of(output.shape) * item_bytes(output.dtype));
  }
}

void CudaRecording::make_memory() {
  left_ = static_cast<char*>(host_.allocate(left_bytes_));
  driver().set_bytes(address(left_), 0, static_cast<size_t>(left_bytes_), host_.stream());
  for (Slot& slot : slots_) {
    void* memory = nullptr;
    if (spec_.input_bytes > 0) {
      driver().allocate_host(&memory, static_cast<size_t>(spec_.input_bytes), 0);
      slot.fed = static_cast<char*>(memory);
      memset(slot.fed, 0, static_cast<size_t>(spec_.input_bytes));
    }
    driver().allocate_host(&memory, static_cast<size_t>(left_bytes_), 0);
    slot.left = static_cast<char*>(memory);
    driver().create_event(&slot.done, kEventUntimed);
  }
  driver().synchronize(host_.stream());
}

void CudaRecording::capture() {
  // Relaxed: cuBLAS may load a module of its own at its first call, which the other modes forbid.
  Recorder recorder(*this);
  driver().begin_capture(host_.stream(), kCaptureRelaxed);
  GraphHandle graph = nullptr;
  try {
    enqueue_step(recorder);
  } catch (...) {
    driver().end_capture.attempt(host_.stream(), &graph);
    if (graph) driver().destroy_graph.attempt(graph);
    throw;
  }
  driver().end_capture(host_.stream(), &graph);
  const int code = driver().instantiate.attempt(&exec_, graph, 0);
  driver().destroy_graph.attempt(graph);
  if (code) {
    exec_ = nullptr;
    fail_driver("cuGraphInstantiateWithFlags", code);
  }
  driver().upload_graph(exec_, host_.stream());
}

void CudaRecording::enqueue_step(Recorder& recorder) {
  driver().set_words(address(left_), kNoFault, 1, host_.stream());
  recorder.run_all();
  enqueue_outputs(recorder);
}

void CudaRecording::enqueue_outputs(Recorder& recorder) {
  for (size_t i = 0; i < spec_.outputs.size(); ++i) {
    const View from = view_of(spec_.outputs[i]);
    View to = from;
    to.pitch = to.cols;
    to.data = left_ + output_offsets_[i];
    enqueue_copy(from, to, recorder);
  }
}

void CudaRecording::feed(const std::vector<const void*>& values) {
  if (spec_.input_bytes == 0) return;
  const Scope scope(host_.context());
  // The step that used this slot last has been waited for: at most kDepth are under way.
  const Slot& slot = slots_[begun_ % kDepth];
  for (size_t i = 0; i < values.size(); ++i)
    memcpy(slot.fed + spec_.feeds[i].offset, values[i], static_cast<size_t>(spec_.feeds[i].bytes));
  driver().upload(address(spec_.inputs), slot.fed, static_cast<size_t>(spec_.input_bytes), host_.stream());
}

void CudaRecording::begin() {
  const Scope scope(host_.context());
  const Slot& slot = slots_[begun_ % kDepth];
  driver().launch_graph(exec_, host_.stream());
  driver().download(slot.left, address(left_), static_cast<size_t>(left_bytes_), host_.stream());
  driver().record(slot.done, host_.stream());
  ++begun_;
}

Failure CudaRecording::finish(const std::vector<void*>& outputs) {
  const Scope scope(host_.context());
  const Slot& slot = slots_[finished_ % kDepth];
  driver().wait(slot.done);
  ++finished_;
  const Failure failure = failure_in(slot.left);
  if (failure.sentence) return failure;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const Operand& output = spec_.outputs[i];
    memcpy(outputs[i], slot.left + output_offsets_[i],
           static_cast<size_t>(count_of(output.shape) * item_bytes(output.dtype)));
  }
  return {};
}

Failure CudaRecording::failure_in(const char* left) const {
  unsigned code;
  memcpy(&code, left, sizeof code);
  return code < sentences_.size() ? sentences_[code] : Failure{};
}

void CudaRecording::abandon() noexcept {
  // Also what feed() has queued without a step behind it must be done before its slot is used again.
  const LastScope scope(host_.context());
  if (scope.entered()) driver().synchronize.attempt(host_.stream());
  finished_ = begun_;
}

Failure CudaRecording::profile(double* seconds) {
  const Scope scope(host_.context());
  const Stream stream = host_.stream();
  while (marks_.size() < spec_.launches.size() + 1) {
    Event mark = nullptr;
    driver().create_event(&mark, kEventTimed);
    marks_.push_back(mark);
  }
  Recorder recorder(*this);
  driver().set_words(address(left_), kNoFault, 1, stream);
  for (size_t i = 0; i < spec_.launches.size(); ++i) {
    driver().record(marks_[i], stream);
    recorder.run(i);
  }
  driver().record(marks_.back(), stream);
  driver().download(slots_[0].left, address(left_), sizeof(unsigned), stream);
  driver().synchronize(stream);
  for (size_t i = 0; i < spec_.launches.size(); ++i) {
    float milliseconds = 0;
    driver().elapsed(&milliseconds, marks_[i], marks_[i + 1]);
    seconds[i] += 1e-3 * static_cast<double>(milliseconds);
  }
  return failure_in(slots_[0].left);
}

void CudaRecording::release() noexcept {
  const Driver& api = driver();
  if (exec_) api.destroy_exec.attempt(exec_);
  for (Event mark : marks_) api.destroy_event.attempt(mark);
  for (const Slot& slot : slots_) {
    if (slot.done) api.destroy_event.attempt(slot.done);
    if (slot.left) api.free_host.attempt(slot.left);
    if (slot.fed) api.free_host.attempt(slot.fed);
  }
  if (left_) host_.release(left_, left_bytes_);
}

}  // namespace gramian::cuda
