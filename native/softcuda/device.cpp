// The device's life and the order of its work: streams, captures, graph launches, waiting. See device.h.
// The rule easy to break: work runs when it is submitted; what the host may rely on is decided by clocks alone.
#include "device.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace softcuda {

Device& Device::get() {
  static Device* device = new Device;  // never destroyed: client threads may outlive static destructors
  return *device;
}

Device::Device() {
  reset();
  if (const char* text = std::getenv("SOFTCUDA")) configure(text);
}

void Device::reset() {
  objects_.clear();
  pending_.clear();
  captures.clear();
  async_allocations.clear();
  pinned.clear();
  const u64 limit = memory_ ? memory_->limit : 8ull << 30;
  memory_ = std::make_unique<DeviceMemory>();
  memory_->limit = limit;
  findings_ = std::make_unique<Findings>();
  order_ = std::make_unique<Order>();
  host_.clear();
  legacy_ = std::make_unique<Stream>();
  legacy_->line = order_->new_line();
  legacy_->name = "the default stream";
  counters = {};
  calls.clear();
  library.clear();
  retired.clear();
  errors.clear();
  call_number = 0;
  initialised = false;
  primary_references = 0;
  sticky = kSuccess;
}

Stream& Device::stream(void* handle) {
  if (handle == nullptr || handle == kLegacyStream || handle == kPerThreadStream) return *legacy_;
  return at<Stream>(handle, Object::Kind::stream);
}

Stream& Device::make_stream(unsigned flags, int priority) {
  auto object = std::make_unique<Stream>();
  object->line = order_->new_line();
  object->clock = host_;
  object->flags = flags;
  object->priority = priority;
  object->name = "stream " + std::to_string(object->line);
  return *add(std::move(object));
}

void Device::destroy_stream(Stream& stream) {
  if (stream.capture != nullptr) {
    stream.capture->invalid = true;
    stream.capture->streams.erase(&stream);
  }
  remove(&stream);
}

void Device::forbid_in_capture(Stream* stream, const char* what) {
  for (Capture* capture : captures) {
    // Thread-local and relaxed captures forbid nothing to work outside them.
    const bool concerned = stream != nullptr ? stream->capture == capture : capture->mode == 0;
    if (!concerned) continue;
    capture->invalid = true;
    throw Failure{kCaptureUnsupported, std::string(what) + " is not permitted while a stream captures"};
  }
}

void Device::submit(Stream& stream, Work work) {
  if (stream.capture != nullptr) {
    Capture& capture = *stream.capture;
    require(!capture.invalid, "the capture was invalidated", kCaptureInvalidated);
    auto node = std::make_unique<Node>();
    node->graph = capture.graph.get();
    node->work = std::move(work);
    node->before = stream.frontier;
    stream.frontier = {node.get()};
    capture.graph->nodes.push_back(std::move(node));
    return;
  }
  const bool blocking = !(stream.flags & kStreamNonBlocking);
  if (&stream == legacy_.get()) {
    for (Capture* capture : captures)
      if (!(capture->origin->flags & kStreamNonBlocking)) {
        capture->invalid = true;
        throw Failure{kCaptureImplicit, "the default stream would wait for a stream that captures"};
      }
    for (const auto& [handle, object] : objects_)
      if (object->kind == Object::Kind::stream && !(static_cast<Stream&>(*object).flags & kStreamNonBlocking))
        join(stream.clock, static_cast<Stream&>(*object).clock);
  } else if (blocking) {
    join(stream.clock, legacy_->clock);
  }
  join(stream.clock, host_);
  const std::string label = work.name + " on " + stream.name;
  execute(work, order_->next(stream.line, stream.clock, label));
  raise();
}

void Device::execute(const Work& work, const Stamp& stamp) {
  if (work.kind == Work::Kind::kernel && work.kernel.function != nullptr)
    run_kernel(work.kernel, stamp);
  else if (work.run)
    work.run(stamp);
  if (work.kind != Work::Kind::kernel) order_->commit(*memory_, *findings_, stamp, host_, options.check_order);
}

void Device::run_kernel(const KernelCall& call, const Stamp& stamp) {
  Program& program = *call.function->program;
  Launch launch;
  launch.program = &program;
  launch.memory = memory_.get();
  launch.findings = findings_.get();
  launch.options = &options;
  launch.params = call.params;
  std::copy_n(call.grid, 3, launch.grid);
  std::copy_n(call.block, 3, launch.threads);
  launch.dynamic_shared = call.shared;
  launch.run();
  ++counters.launches;
  const Sectors sectors = order_->commit(*memory_, *findings_, stamp, host_, options.check_order);
  program.unique_sectors += sectors.unique;
  program.read_sectors += sectors.read;
  program.written_sectors += sectors.written;
}

/** A finding ends the context, as a faulting kernel does. */
void Device::raise() {
  const Result error = findings_->take_error();
  if (error == 0) return;
  sticky = error;
  throw Failure{error, findings_->list().back().message};
}

void Device::launch_graph(GraphExec& exec, Stream& stream) {
  ++counters.graph_launches;
  ++exec.launches;
  Clock base = stream.clock;
  join(base, host_);
  join(base, exec.done);
  if (!(stream.flags & kStreamNonBlocking)) join(base, legacy_->clock);
  std::vector<Clock> clocks(exec.steps.size());
  std::vector<size_t> missing(exec.steps.size()), ready;
  std::vector<std::vector<size_t>> after(exec.steps.size());
  for (size_t i = 0; i < exec.steps.size(); ++i) {
    missing[i] = exec.steps[i].before.size();
    for (const size_t before : exec.steps[i].before) after[before].push_back(i);
    if (missing[i] == 0) ready.push_back(i);
  }
  std::mt19937 random(options.seed + exec.launches);
  join(stream.clock, base);
  while (!ready.empty()) {
    // Seed 0 keeps the order of capture.
    const size_t pick = options.seed == 0
                            ? static_cast<size_t>(std::min_element(ready.begin(), ready.end()) - ready.begin())
                            : random() % ready.size();
    const size_t i = ready[pick];
    ready.erase(ready.begin() + static_cast<long>(pick));
    GraphExec::Step& step = exec.steps[i];
    clocks[i] = base;
    for (const size_t before : step.before) join(clocks[i], clocks[before]);
    const std::string label = step.work.name + " (graph node " + std::to_string(i) + ")";
    execute(step.work, order_->next(step.line, clocks[i], label));
    ++counters.graph_nodes;
    join(stream.clock, clocks[i]);
    for (const size_t next : after[i])
      if (--missing[next] == 0) ready.push_back(next);
  }
  order_->next(stream.line, stream.clock, "");
  exec.done = stream.clock;
  raise();
}

void Device::host_waits(const Clock& clock) {
  join(host_, clock);
  std::vector<Pending> due;
  std::erase_if(pending_, [&](Pending& pending) {
    if (time_of(host_, pending.line) < pending.tick) return false;
    due.push_back(std::move(pending));
    return true;
  });
  for (const Pending& pending : due) pending.complete();
  raise();
}

void Device::wait_for_all() {
  Clock all = legacy_->clock;
  for (const auto& [handle, object] : objects_)
    if (object->kind == Object::Kind::stream) join(all, static_cast<Stream&>(*object).clock);
  host_waits(all);
}

void Device::note_finding(Check check, const std::string& where, const std::string& message) {
  findings_->add({check, where, message, "", "", 0, 0, {}, 0, 0});
}

void Device::touch(u64 address, u64 bytes, bool write, const std::string& where) {
  if (bytes == 0) return;
  const Allocation* range = address >= DeviceMemory::kBase ? memory_->find(address) : nullptr;
  if (range == nullptr || address + bytes > range->hi) {
    const bool freed = range == nullptr && memory_->was_freed(address);
    const std::string place = range == nullptr
                                  ? memory_->describe(address)
                                  : "an allocation with " + std::to_string(range->hi - address) + " bytes left";
    note_finding(freed ? Check::freed : Check::bounds, where, std::to_string(bytes) + " bytes at " + place);
    findings_->take_error();
    throw Failure{kInvalidValue, where + ": " + findings_->list().back().message};
  }
  if (!write && options.check_uninitialised && !memory_->initialised(address, address + bytes))
    note_finding(Check::uninitialised, where, "reads device memory that nothing has written");
  memory_->mark(address, address + bytes, write ? kWritten : kRead);
}

bool Device::is_pinned(const void* address, u64 bytes) const {
  const auto at = reinterpret_cast<uintptr_t>(address);
  auto range = pinned.upper_bound(at);
  if (range == pinned.begin()) return false;
  --range;
  return at + bytes <= range->first + range->second;
}

Result call(const char* name, Need need, const std::function<Result(Device&)>& body) {
  Device& device = Device::get();
  const std::lock_guard lock(device.mutex);
  ++device.calls[name];
  ++device.call_number;
  try {
    if (const auto fault = device.faults.find(device.call_number); fault != device.faults.end())
      throw Failure{fault->second, "an injected fault"};
    if (const auto fault = device.call_faults.find(name); fault != device.call_faults.end())
      throw Failure{fault->second, "an injected fault"};
    require(need == Need::nothing || device.initialised, "cuInit has not been called", kNotInitialized);
    if (need == Need::context) {
      require(has_context(), "no context is current", kInvalidContext);
      if (device.sticky != kSuccess) throw Failure{device.sticky, "an earlier failure has ended the context"};
    }
    return body(device);
  } catch (const Failure& failure) {
    device.note_error(std::string(name) + ": " + failure.message);
    return failure.code;
  } catch (const LoadError& error) {
    device.note_error(std::string(name) + ": " + error.what());
    return kInvalidPtx;
  } catch (const std::bad_alloc&) {
    device.note_error(std::string(name) + ": out of host memory");
    return kOutOfMemory;
  }
}

}  // namespace softcuda
