// See recording.h.
#include "cuda/recording.h"

#include <algorithm>
#include <cstring>

#include "cuda/turns.h"

namespace gramian::cuda {
namespace {

constexpr int64_t kAlign = 256;

int64_t aligned(int64_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

size_t lines_of(const StepSpec& spec) {
  size_t lines = 1;
  for (int32_t line : spec.lines) lines = std::max(lines, static_cast<size_t>(line) + 1);
  return lines;
}

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

/** The queue of a recording, on the first line's stream: faults get their number in the order of the step. */
class CudaRecording::Recorder : public Queue {
 public:
  explicit Recorder(CudaRecording& recording)
      : Queue(recording.host_.modules()),
        recording_(recording),
        blas_(uses_blas() ? recording.host_.blas(0) : nullptr) {
    go_to(recording.host_.stream(0), blas_);
  }

  void run(size_t launch) {
    launch_ = launch;
    launch_at(launch).kernel->run(launch_at(launch).call, *this);
  }

  Fault fault(const char* sentence) override {
    auto& known = recording_.sentences_;
    auto* word = reinterpret_cast<unsigned*>(recording_.left_);
    for (size_t i = 0; i < known.size(); ++i)
      if (known[i].launch == launch_ && known[i].sentence == sentence) return {word, static_cast<unsigned>(i)};
    known.push_back({sentence, launch_});
    return {word, static_cast<unsigned>(known.size() - 1)};
  }

 protected:
  const CudaLaunch& launch_at(size_t i) const { return static_cast<const CudaLaunch&>(*recording_.spec_.launches[i]); }
  bool uses_blas() const {
    for (size_t i = 0; i < recording_.spec_.launches.size(); ++i)
      if (launch_at(i).call.uses_blas) return true;
    return false;
  }

  CudaRecording& recording_;
  const Blas* const blas_;
  size_t launch_ = 0;
};

/** A step on some streams, of which the others join the capture of the plan's own and leave it at the end (turns.h). */
class CudaRecording::Capture final : public Recorder {
 public:
  /** Makes all that needs memory, since a capture may not allocate. */
  explicit Capture(CudaRecording& recording)
      : Recorder(recording), turns_(take_turns(recording.spec_, lines_of(recording.spec_))), done_(turns_.size()) {
    Host& host = recording.host_;
    lines_.resize(lines_of(recording.spec_));
    for (size_t i = 0; i < lines_.size(); ++i) lines_[i].stream = host.stream(i);
    for (const Turn& turn : turns_) {
      Line& line = lines_[turn.line];
      for (size_t i = turn.first; i < turn.end; ++i)
        if (launch_at(i).call.uses_blas) line.blas = host.blas(turn.line);
    }
  }
  ~Capture() override {
    for (Event event : events_) driver().destroy_event.attempt(event);
  }

  void run_all() {
    for (size_t i = 0; i < turns_.size(); ++i) {
      const Turn& turn = turns_[i];
      Line& line = lines_[turn.line];
      go_to(line.stream, line.blas);
      if (turn.line > 0 && !line.joined && turn.after.empty()) edge(0, turn.line);
      line.joined = true, line.ahead = !turn.awaited;
      for (size_t before : turn.after) driver().stream_wait(line.stream, done_[before], 0);
      run_turn(turn);
      if (turn.awaited) done_[i] = mark(turn.line);
    }
    for (size_t line = 1; line < lines_.size(); ++line)
      if (lines_[line].ahead) edge(line, 0);
    go_to(lines_[0].stream, lines_[0].blas);
  }

 private:
  void run_turn(const Turn& turn) {
    if (turn.end - turn.first == 1) return run(turn.first);
    launch_ = turn.first;
    std::vector<const Call*> calls;
    for (size_t i = turn.first; i < turn.end; ++i) calls.push_back(&launch_at(i).call);
    launch_at(turn.first).kernel->run_many(calls, *this);
  }

  /** What has been enqueued on a stream so far. */
  Event mark(size_t line) {
    Event event = nullptr;
    driver().create_event(&event, kEventUntimed);
    events_.push_back(event);
    driver().record(event, lines_[line].stream);
    return event;
  }
  void edge(size_t from, size_t to) { driver().stream_wait(lines_[to].stream, mark(from), 0); }

  struct Line {
    Stream stream = nullptr;
    const Blas* blas = nullptr;
    bool joined = false;  // the capture
    bool ahead = false;   // nothing has waited for its last turn
  };

  const std::vector<Turn> turns_;
  std::vector<Line> lines_;
  std::vector<Event> done_;    // of awaited turns
  std::vector<Event> events_;  // all, for the capture's time
};

CudaRecording::CudaRecording(Host& host, const StepSpec& spec) : host_(host), stream_(host.stream()), spec_(spec) {
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
  driver().set_bytes(address(left_), 0, static_cast<size_t>(left_bytes_), stream_);
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
  driver().synchronize(stream_);
}

void CudaRecording::capture() {
  const std::lock_guard lock(host_.enqueuing());
  // Relaxed: cuBLAS may load a module of its own at its first call, which the other modes forbid.
  Capture capture(*this);
  const Stream first = host_.stream(0);
  driver().begin_capture(first, kCaptureRelaxed);
  GraphHandle graph = nullptr;
  try {
    driver().set_words(address(left_), kNoFault, 1, first);
    capture.run_all();
    enqueue_outputs(capture);
  } catch (...) {
    driver().end_capture.attempt(first, &graph);
    if (graph) driver().destroy_graph.attempt(graph);
    throw;
  }
  driver().end_capture(first, &graph);
  const int code = driver().instantiate.attempt(&exec_, graph, 0);
  driver().destroy_graph.attempt(graph);
  if (code) {
    exec_ = nullptr;
    fail_driver("cuGraphInstantiateWithFlags", code);
  }
  driver().upload_graph(exec_, stream_);
}

void CudaRecording::enqueue_outputs(Queue& queue) {
  for (size_t i = 0; i < spec_.outputs.size(); ++i) {
    const View from = view_of(spec_.outputs[i]);
    View to = from;
    to.pitch = to.cols;
    to.data = left_ + output_offsets_[i];
    enqueue_copy(from, to, queue);
  }
}

void CudaRecording::feed(const std::vector<const void*>& values) {
  if (spec_.input_bytes == 0) return;
  const Scope scope(host_.context());
  // The step that used this slot last has been waited for: at most kDepth are under way.
  const Slot& slot = slots_[begun_ % kDepth];
  for (size_t i = 0; i < values.size(); ++i)
    memcpy(slot.fed + spec_.feeds[i].offset, values[i], static_cast<size_t>(spec_.feeds[i].bytes));
  driver().upload(address(spec_.inputs), slot.fed, static_cast<size_t>(spec_.input_bytes), stream_);
}

void CudaRecording::begin() {
  const Scope scope(host_.context());
  const Slot& slot = slots_[begun_ % kDepth];
  driver().launch_graph(exec_, stream_);
  driver().download(slot.left, address(left_), static_cast<size_t>(left_bytes_), stream_);
  driver().record(slot.done, stream_);
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
  if (scope.entered()) driver().synchronize.attempt(stream_);
  finished_ = begun_;
}

Failure CudaRecording::profile(double* seconds) {
  const Scope scope(host_.context());
  const std::lock_guard lock(host_.enqueuing());
  const Stream stream = host_.stream(0);
  while (marks_.size() < spec_.launches.size() + 1) {
    Event mark = nullptr;
    driver().create_event(&mark, kEventTimed);
    marks_.push_back(mark);
  }
  Recorder recorder(*this);
  // What was fed is there before the first launch.
  driver().synchronize(stream_);
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
