// Driver entries: streams, events and capture.
// The rule easy to break: an event keeps the clock of its stream at the moment of the record; recorded in a capture it
// stands for nodes of the graph instead and cannot be waited for by the host.
#include "device.h"

namespace softcuda {
namespace {

bool in_capture(const Device& device, const Event& event) {
  return event.capture != nullptr && device.captures.count(event.capture) == 1 && event.capture->id == event.capture_id;
}

void wait_for(Device& device, Stream& stream, Event& event) {
  if (in_capture(device, event)) {
    Capture& capture = *event.capture;
    if (stream.capture == nullptr) {
      stream.capture = &capture;
      capture.streams.insert(&stream);
      stream.frontier.clear();
    } else if (stream.capture != &capture) {
      stream.capture->invalid = capture.invalid = true;
      throw Failure{kCaptureMerge, "the event belongs to another capture"};
    }
    stream.frontier.insert(event.frontier.begin(), event.frontier.end());
    return;
  }
  if (stream.capture != nullptr && event.recorded) {
    stream.capture->invalid = true;
    throw Failure{kCaptureIsolation, "a capturing stream waits for an event from outside the capture"};
  }
  join(stream.clock, event.clock);
}

void record(Device& device, Event& event, Stream& stream) {
  event.recorded = true;
  event.order = ++device.event_order;
  event.capture = stream.capture;
  event.capture_id = stream.capture == nullptr ? 0 : stream.capture->id;
  event.frontier = stream.frontier;
  if (stream.capture == nullptr) {
    join(stream.clock, device.host_clock());
    if (stream.line == device.stream(nullptr).line)
      for (const auto& [handle, object] : device.objects())
        if (object->kind == Object::Kind::stream && !(static_cast<Stream&>(*object).flags & kStreamNonBlocking))
          join(stream.clock, static_cast<Stream&>(*object).clock);
    event.clock = stream.clock;
  }
}

Event& outside_capture(Device& device, void* handle) {
  Event& event = device.event(handle);
  if (in_capture(device, event)) {
    event.capture->invalid = true;
    throw Failure{kCapturedEvent, "the event was recorded in a capture"};
  }
  return event;
}

Result end_capture(Device& device, Stream& stream, void** graph) {
  require(stream.capture != nullptr, "the stream does not capture");
  Capture* capture = stream.capture;
  require(capture->origin == &stream, "the capture began on another stream", kCaptureUnmatched);
  // A forked stream is joined if everything it captured lies before what the origin has captured last.
  std::set<Node*> reached(stream.frontier.begin(), stream.frontier.end());
  for (size_t i = capture->graph->nodes.size(); i-- > 0;)
    if (Node* node = capture->graph->nodes[i].get(); reached.count(node))
      reached.insert(node->before.begin(), node->before.end());
  bool unjoined = false;
  for (Stream* other : capture->streams) {
    for (Node* node : other->frontier) unjoined |= !reached.count(node);
    other->capture = nullptr;
    other->frontier.clear();
  }
  const bool invalid = capture->invalid;
  std::unique_ptr<Graph> result = std::move(capture->graph);
  device.captures.erase(capture);
  delete capture;
  *graph = nullptr;
  require(!invalid, "the capture was invalidated", kCaptureInvalidated);
  require(!unjoined, "a stream that was forked was not joined", kCaptureUnjoined);
  for (const auto& node : result->nodes) node->graph = result.get();
  *graph = device.add(std::move(result));
  return kSuccess;
}

}  // namespace
}  // namespace softcuda

using namespace softcuda;

extern "C" {

Result cuStreamCreateWithPriority(void** stream, unsigned flags, int priority) {
  return call("cuStreamCreateWithPriority", Need::context, [=](Device& device) {
    require(stream != nullptr && flags <= 1, "no place for the stream, or unknown flags");
    *stream = &device.make_stream(flags, priority);
    return kSuccess;
  });
}
Result cuStreamCreate(void** stream, unsigned flags) {
  return call("cuStreamCreate", Need::context, [=](Device& device) {
    require(stream != nullptr && flags <= 1, "no place for the stream, or unknown flags");
    *stream = &device.make_stream(flags, 0);
    return kSuccess;
  });
}
Result cuStreamDestroy_v2(void* stream) {
  return call("cuStreamDestroy_v2", Need::context, [=](Device& device) {
    device.destroy_stream(device.at<Stream>(stream, Object::Kind::stream));
    return kSuccess;
  });
}
Result cuStreamSynchronize(void* stream) {
  return call("cuStreamSynchronize", Need::context, [=](Device& device) {
    Stream& on = device.stream(stream);
    device.forbid_in_capture(&on, "cuStreamSynchronize");
    ++device.counters.synchronisations;
    device.host_waits(on.clock);
    return kSuccess;
  });
}
/** Work is always done, so the answer is always yes, and the host may rely on it. */
Result cuStreamQuery(void* stream) {
  return call("cuStreamQuery", Need::context, [=](Device& device) {
    Stream& on = device.stream(stream);
    device.forbid_in_capture(&on, "cuStreamQuery");
    device.host_waits(on.clock);
    return kSuccess;
  });
}
Result cuStreamGetFlags(void* stream, unsigned* flags) {
  return call("cuStreamGetFlags", Need::context, [=](Device& device) {
    *flags = device.stream(stream).flags;
    return kSuccess;
  });
}
Result cuStreamGetPriority(void* stream, int* priority) {
  return call("cuStreamGetPriority", Need::context, [=](Device& device) {
    *priority = device.stream(stream).priority;
    return kSuccess;
  });
}
Result cuStreamWaitEvent(void* stream, void* event, unsigned) {
  return call("cuStreamWaitEvent", Need::context, [=](Device& device) {
    if (device.unwaited > 0 && --device.unwaited == 0) return kSuccess;
    wait_for(device, device.stream(stream), device.event(event));
    return kSuccess;
  });
}
Result cuEventCreate(void** event, unsigned flags) {
  return call("cuEventCreate", Need::context, [=](Device& device) {
    require(event != nullptr && flags < 8, "no place for the event, or unknown flags");
    auto object = std::make_unique<Event>();
    object->flags = flags;
    *event = device.add(std::move(object));
    return kSuccess;
  });
}
Result cuEventDestroy_v2(void* event) {
  return call("cuEventDestroy_v2", Need::context, [=](Device& device) {
    device.event(event);
    device.remove(event);
    return kSuccess;
  });
}
Result cuEventRecord(void* event, void* stream) {
  return call("cuEventRecord", Need::context, [=](Device& device) {
    record(device, device.event(event), device.stream(stream));
    return kSuccess;
  });
}
Result cuEventRecordWithFlags(void* event, void* stream, unsigned flags) {
  return call("cuEventRecordWithFlags", Need::context, [=](Device& device) {
    require(flags <= 1, "unknown flags");
    record(device, device.event(event), device.stream(stream));
    return kSuccess;
  });
}
Result cuEventQuery(void* event) {
  return call("cuEventQuery", Need::context, [=](Device& device) {
    device.host_waits(outside_capture(device, event).clock);
    return kSuccess;
  });
}
Result cuEventSynchronize(void* event) {
  return call("cuEventSynchronize", Need::context, [=](Device& device) {
    const Event& at = outside_capture(device, event);
    ++device.counters.synchronisations;
    device.host_waits(at.clock);
    return kSuccess;
  });
}
/** There is no time here: the number of records between the two, as milliseconds. */
Result cuEventElapsedTime_v2(float* milliseconds, void* start, void* end) {
  return call("cuEventElapsedTime_v2", Need::context, [=](Device& device) {
    const Event &a = outside_capture(device, start), &b = outside_capture(device, end);
    require(a.recorded && b.recorded && !(a.flags & 2) && !(b.flags & 2), "an event not recorded, or without timing",
            kInvalidHandle);
    *milliseconds = static_cast<float>(static_cast<i64>(b.order - a.order));
    return kSuccess;
  });
}
Result cuStreamBeginCapture_v2(void* stream, int mode) {
  return call("cuStreamBeginCapture_v2", Need::context, [=](Device& device) {
    require(stream != nullptr && stream != kLegacyStream, "the default stream cannot be captured", kCaptureUnsupported);
    Stream& on = device.at<Stream>(stream, Object::Kind::stream);
    require(mode >= 0 && mode <= 2, "unknown mode");
    require(on.capture == nullptr, "the stream captures already");
    auto* capture = new Capture;
    capture->graph = std::make_unique<Graph>();
    capture->origin = &on;
    capture->streams = {&on};
    capture->mode = mode;
    capture->id = ++device.capture_ids;
    device.captures.insert(capture);
    on.capture = capture;
    on.frontier.clear();
    return kSuccess;
  });
}
Result cuStreamEndCapture(void* stream, void** graph) {
  return call("cuStreamEndCapture", Need::context, [=](Device& device) {
    require(graph != nullptr, "no place for the graph");
    return end_capture(device, device.stream(stream), graph);
  });
}
Result cuStreamIsCapturing(void* stream, unsigned* status) {
  return call("cuStreamIsCapturing", Need::context, [=](Device& device) {
    const Stream& on = device.stream(stream);
    *status = on.capture == nullptr ? 0 : on.capture->invalid ? kCaptureInvalid : kCaptureActive;
    return kSuccess;
  });
}
Result cuThreadExchangeStreamCaptureMode(int* mode) {
  static thread_local int current = 0;
  return call("cuThreadExchangeStreamCaptureMode", Need::context, [=](Device&) {
    require(mode != nullptr && *mode >= 0 && *mode <= 2, "unknown mode");
    std::swap(*mode, current);
    return kSuccess;
  });
}
}
