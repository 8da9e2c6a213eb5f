// Configuration as text and the report as JSON, through three exports found by dlsym. See device.h.
// The rule easy to break: softcudaSnapshot's string lives until the next call of it.
#include <algorithm>
#include <cstdio>
#include <set>

#include "device.h"

namespace softcuda {
namespace {

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 32) {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04x", c);
      out += code;
    } else {
      out += c;
    }
  }
  return out + '"';
}

/** Collects members of an object. */
class Fields {
 public:
  Fields& add(const std::string& name, const std::string& json) {
    text_ += (text_.empty() ? "" : ",") + quoted(name) + ":" + json;
    return *this;
  }
  Fields& add(const std::string& name, u64 value) { return add(name, std::to_string(value)); }
  std::string json() const { return "{" + text_ + "}"; }

 private:
  std::string text_;
};

std::string list(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) text += (text.empty() ? "" : ",") + item;
  return "[" + text + "]";
}

std::string finding_json(const Finding& finding) {
  Fields fields;
  fields.add("check", quoted(kCheckNames[static_cast<int>(finding.check)]))
      .add("error", static_cast<u64>(error_of(finding.check)))
      .add("where", quoted(finding.where))
      .add("message", quoted(finding.message))
      .add("instruction", quoted(finding.instruction))
      .add("ptxLine", static_cast<u64>(finding.ptx_line))
      .add("file", quoted(finding.file))
      .add("line", static_cast<u64>(finding.line))
      .add("block", "[" + std::to_string(finding.block[0]) + "," + std::to_string(finding.block[1]) + "," +
                        std::to_string(finding.block[2]) + "]")
      .add("thread", finding.thread)
      .add("count", finding.count);
  return fields.json();
}

/** Sums over the instructions of one kind and space. */
struct Traffic {
  u64 requests = 0, cost = 0, ideal = 0;
  std::string json(const char* cost_name) const {
    return Fields().add("requests", requests).add(cost_name, cost).add("ideal", ideal).json();
  }
};

std::string instruction_json(const Program& program, size_t i) {
  const InstrInfo& info = program.info[i];
  const InstrCounts& counts = program.counts[i];
  const auto file = program.files.find(info.source.file);
  Fields fields;
  fields.add("text", quoted(info.text))
      .add("ptxLine", static_cast<u64>(info.ptx_line))
      .add("file", quoted(file == program.files.end() ? "" : file->second))
      .add("line", static_cast<u64>(info.source.line))
      .add("warps", counts.warps)
      .add("threads", counts.threads);
  if (counts.ideal > 0)
    fields.add(info.space == ptx::Space::shared ? "passes" : "sectors", counts.cost).add("ideal", counts.ideal);
  return fields.json();
}

std::string kernel_json(const Program& program) {
  u64 warps = 0, threads = 0, barriers = 0;
  Traffic loads, stores, shared;
  std::vector<std::string> instructions;
  for (size_t i = 0; i < program.info.size(); ++i) {
    const InstrInfo& info = program.info[i];
    const InstrCounts& counts = program.counts[i];
    if (info.text.empty()) continue;
    warps += counts.warps;
    threads += counts.threads;
    instructions.push_back(instruction_json(program, i));
    if (info.kind == InstrInfo::Kind::barrier) barriers += counts.warps;
    if (info.kind == InstrInfo::Kind::other || info.kind == InstrInfo::Kind::barrier || counts.ideal == 0) continue;
    Traffic& traffic = info.space == ptx::Space::shared ? shared : info.kind == InstrInfo::Kind::load ? loads : stores;
    traffic.requests += counts.warps;
    traffic.cost += counts.cost;
    traffic.ideal += counts.ideal;
  }
  Fields fields;
  fields.add("name", quoted(program.name))
      .add("launches", program.launches)
      .add("warpInstructions", warps)
      .add("threadInstructions", threads)
      .add("barriers", barriers)
      .add("globalLoads", loads.json("sectors"))
      .add("globalStores", stores.json("sectors"))
      .add("shared", shared.json("passes"))
      .add("uniqueSectors", program.unique_sectors)
      .add("uniqueSectorsRead", program.read_sectors)
      .add("uniqueSectorsWritten", program.written_sectors)
      .add("instructions", list(instructions));
  return fields.json();
}

/** Modules, streams, events and graphs; functions live and go with their module. */
u64 live_objects(const Device& device) {
  u64 count = 0;
  for (const auto& [handle, object] : device.objects()) count += object->kind != Object::Kind::function;
  return count;
}

std::string counters_json(Device& device) {
  const Counters& c = device.counters;
  return Fields()
      .add("launches", c.launches)
      .add("graphLaunches", c.graph_launches)
      .add("graphNodes", c.graph_nodes)
      .add("copies", c.copies)
      .add("blockingCopies", c.blocking_copies)
      .add("copiedBytes", c.copied_bytes)
      .add("memsets", c.memsets)
      .add("allocations", c.allocations)
      .add("frees", c.frees)
      .add("synchronisations", c.synchronisations)
      .add("hostFunctions", c.host_functions)
      .add("libraryCalls", c.library_calls)
      .add("memoryUsed", device.memory().used())
      .add("memoryPeak", device.memory().peak())
      .add("liveAllocations", device.memory().live_count())
      .add("livePinned", device.pinned.size())
      .add("liveObjects", live_objects(device))
      .json();
}

/** "12:2" fails the twelfth call with error 2, "cuMemAlloc_v2:2" every call of that name. */
bool configure_fault(Device& device, const std::string& value) {
  const size_t colon = value.find(':');
  if (colon == std::string::npos) return false;
  const std::string which = value.substr(0, colon);
  const Result code = std::atoi(value.c_str() + colon + 1);
  if (which.find_first_not_of("0123456789") == std::string::npos)
    device.faults[device.call_number + std::stoull(which)] = code;
  else
    device.call_faults[which] = code;
  return true;
}

bool configure_one(Device& device, const std::string& key, const std::string& value) {
  const u64 number = std::strtoull(value.c_str(), nullptr, 10);
  const bool on = value == "1" || value == "on";
  if (key == "seed")
    device.options.seed = static_cast<u32>(number);
  else if (key == "approximate")
    device.options.approximate = on;
  else if (key == "uninitialised")
    device.options.check_uninitialised = on;
  else if (key == "races")
    device.options.check_races = on;
  else if (key == "order")
    device.options.check_order = on;
  else if (key == "instructions")
    device.options.max_instructions = number;
  else if (key == "capability")
    device.capability = static_cast<int>(number);
  else if (key == "multiprocessors")
    device.multiprocessors = static_cast<int>(number);
  else if (key == "memory")
    device.memory().limit = number;
  else if (key == "fail")
    return configure_fault(device, value);
  else if (key == "forget")
    device.retired.clear(), device.calls.clear(), device.library.clear();
  else if (key == "nofail")
    device.faults.clear(), device.call_faults.clear();
  else if (key == "unwaited")
    device.unwaited = number;
  else if (key == "heal")
    device.heal();
  else
    return false;
  return true;
}

}  // namespace

bool Device::configure(const std::string& text) {
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(';', begin), text.size());
    const std::string item = text.substr(begin, end - begin);
    begin = end + 1;
    if (item.empty()) continue;
    const size_t equal = std::min(item.find('='), item.size());
    if (configure_one(*this, item.substr(0, equal), equal < item.size() ? item.substr(equal + 1) : "")) continue;
    note_error("softcudaConfigure: unknown setting '" + item + "'");
    return false;
  }
  return true;
}

std::string Device::snapshot() {
  std::vector<std::string> finding_list, kernels, error_list;
  for (const std::string& error : errors) error_list.push_back(quoted(error));
  for (const Finding& finding : findings_->list()) finding_list.push_back(finding_json(finding));
  for (const auto& [name, program] : retired) kernels.push_back(kernel_json(*program));
  for (const auto& [handle, object] : objects_)
    if (object->kind == Object::Kind::function) {
      const Program& program = *static_cast<Function&>(*object).program;
      if (program.launches > 0) kernels.push_back(kernel_json(program));
    }
  Fields call_counts, libraries;
  for (const auto& [name, count] : calls) call_counts.add(name, count);
  for (const auto& [name, count] : library)
    libraries.add(name, Fields().add("calls", count.calls).add("flops", count.flops).add("bytes", count.bytes).json());
  return Fields()
      .add("seed", options.seed)
      .add("counters", counters_json(*this))
      .add("calls", call_counts.json())
      .add("library", libraries.json())
      .add("findings", list(finding_list))
      .add("findingCount", findings_->total())
      .add("kernels", list(kernels))
      .add("errors", list(error_list))
      .json();
}

}  // namespace softcuda

using softcuda::Device;

extern "C" {

/** 0, or 1 with the reason in the report's errors. Settings: see configure_one. */
int softcudaConfigure(const char* text) {
  Device& device = Device::get();
  const std::lock_guard lock(device.mutex);
  return device.configure(text) ? 0 : 1;
}

/** The report as JSON; the string lives until the next call. */
const char* softcudaSnapshot() {
  static std::string text;
  Device& device = Device::get();
  const std::lock_guard lock(device.mutex);
  text = device.snapshot();
  return text.c_str();
}

/** Forgets every object, allocation, counter and finding; settings stay. */
void softcudaReset() {
  Device& device = Device::get();
  const std::lock_guard lock(device.mutex);
  device.reset();
}
}
