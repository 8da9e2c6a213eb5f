// The one device: memory, clocks, streams, modules and counters behind every driver call. Used by driver_*.cpp.
// The rule easy to break: every entry point goes through call(), which takes the lock, counts, injects faults and turns
// a Failure into the driver's error.
#pragma once
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>

#include "abi.h"
#include "exec.h"
#include "order.h"

namespace softcuda {

/** Ends a driver call with this error; the message is in the report's errors. */
struct Failure {
  Result code;
  std::string message;
};

/** A handle's object. Handles are checked against the table of live ones, so a stale one is an error and no crash. */
struct Object {
  enum class Kind : u8 { module, function, stream, event, graph, node, graph_exec, pool } kind;
  explicit Object(Kind k) : kind(k) {}
  virtual ~Object() = default;
};

struct Function;
struct Module : Object {
  Module() : Object(Kind::module) {}
  ptx::Module parsed;
  std::map<std::string, u64> addresses, sizes;  // of global and constant variables
  std::map<std::string, Function*> functions;
};
struct Function : Object {
  Function() : Object(Kind::function) {}
  Module* module = nullptr;
  std::unique_ptr<Program> program;
  u32 max_dynamic_shared = 48 * 1024;
};

struct Graph;
struct Capture;
struct Stream : Object {
  Stream() : Object(Kind::stream) {}
  u32 line = 0;
  Clock clock;
  unsigned flags = 0;
  int priority = 0;
  Capture* capture = nullptr;
  std::set<struct Node*> frontier;  // of the capture
  std::string name;
};
struct Event : Object {
  Event() : Object(Kind::event) {}
  bool recorded = false;
  unsigned flags = 0;
  Clock clock;
  u64 order = 0;
  Capture* capture = nullptr;
  u64 capture_id = 0;  // a capture that has ended may leave its address to another
  std::set<struct Node*> frontier;
};

/** A kernel and all it needs to start. */
struct KernelCall {
  Function* function = nullptr;
  u32 grid[3] = {1, 1, 1}, block[3] = {1, 1, 1}, shared = 0;
  std::vector<u8> params;
};

/** One piece of a stream's work. `run` does it at once and leaves its marks in the shadow. */
struct Work {
  enum class Kind : u8 {
    kernel = 0,
    copy = 1,
    set = 2,
    host = 3,
    graph = 4,
    empty = 5,
    library = 100
  } kind = Kind::empty;
  std::string name;
  KernelCall kernel;
  std::function<void(const Stamp&)> run;
};

struct Node : Object {
  Node() : Object(Kind::node) {}
  Graph* graph = nullptr;
  Work work;
  std::set<Node*> before;
};
struct Graph : Object {
  Graph() : Object(Kind::graph) {}
  std::vector<std::unique_ptr<Node>> nodes;  // in order of capture, so that `before` always points back
};
struct GraphExec : Object {
  GraphExec() : Object(Kind::graph_exec) {}
  struct Step {
    Work work;
    std::vector<size_t> before;
    u32 line = 0;
  };
  std::vector<Step> steps;
  std::map<Node*, size_t> index;
  Clock done;  // of the last launch: two launches of one graph never overlap
  u32 launches = 0;
};
struct Capture {
  std::unique_ptr<Graph> graph;
  Stream* origin = nullptr;
  std::set<Stream*> streams;
  bool invalid = false;
  u64 id = 0;
  int mode = 0;
};
struct Pool : Object {
  Pool() : Object(Kind::pool) {}
  u64 threshold = 0;
};

/** A copy into host memory that lands when the host has waited for it, or a source that must not change until then. */
struct Pending {
  u32 line, tick;
  std::function<void()> complete;
};

struct Counters {
  u64 launches = 0, graph_launches = 0, graph_nodes = 0, copies = 0, blocking_copies = 0, copied_bytes = 0, memsets = 0,
      allocations = 0, frees = 0, synchronisations = 0, host_functions = 0, library_calls = 0;
};

struct LibraryCount {
  u64 calls = 0, flops = 0, bytes = 0;
};

class Device {
 public:
  static Device& get();
  Device();

  std::recursive_mutex mutex;
  Options options;
  Counters counters;
  std::map<std::string, u64> calls;
  std::map<std::string, LibraryCount> library;
  std::map<std::string, std::unique_ptr<Program>> retired;  // of unloaded modules, for the report
  std::vector<std::string> errors;                          // what failed calls said, the first hundred
  void note_error(std::string text) {
    if (errors.size() < 100) errors.push_back(std::move(text));
  }
  int capability = 80, multiprocessors = 4;
  u64 call_number = 0;
  std::map<u64, Result> faults;               // n-th call -> error
  std::map<std::string, Result> call_faults;  // name -> error, every time
  u64 unwaited = 0;                           // the n-th cuStreamWaitEvent from now does nothing; 0: none
  bool initialised = false;
  int primary_references = 0;
  unsigned primary_flags = 0;
  Result sticky = kSuccess;

  /** Forgets what was found; the context lives again. */
  void heal() {
    findings_ = std::make_unique<Findings>();
    sticky = kSuccess;
  }

  DeviceMemory& memory() { return *memory_; }
  Findings& findings() { return *findings_; }
  Order& order() { return *order_; }
  Clock& host_clock() { return host_; }

  /** Adds an object and returns its handle. */
  template <class T>
  T* add(std::unique_ptr<T> object) {
    T* handle = object.get();
    objects_[handle] = std::move(object);
    return handle;
  }
  /** The live object behind a handle. Throws Failure with `error` otherwise. */
  template <class T>
  T& at(void* handle, Object::Kind kind, Result error = kInvalidHandle) {
    const auto found = objects_.find(handle);
    if (found == objects_.end() || found->second->kind != kind) throw Failure{error, "no live object has this handle"};
    return static_cast<T&>(*found->second);
  }
  void remove(void* handle) { objects_.erase(handle); }
  const std::unordered_map<void*, std::unique_ptr<Object>>& objects() const { return objects_; }

  Stream& stream(void* handle);
  Event& event(void* handle) { return at<Event>(handle, Object::Kind::event); }
  Stream& make_stream(unsigned flags, int priority);
  void destroy_stream(Stream& stream);

  /** Runs the work in the stream's order, or adds it to the capture the stream is in. */
  void submit(Stream& stream, Work work);
  /** Runs the steps of a graph in an order drawn from the seed that respects their edges. */
  void launch_graph(GraphExec& exec, Stream& stream);
  /** The host has waited for this clock: pending copies land. */
  void host_waits(const Clock& clock);
  void wait_for_all();
  void add_pending(Pending pending) { pending_.push_back(std::move(pending)); }
  /** Refuses what a capture forbids, and ends the capture. */
  void forbid_in_capture(Stream* stream, const char* what);

  /** Checks and marks a range that a copy or a library reads or writes. */
  void touch(u64 address, u64 bytes, bool write, const std::string& where);
  void note_finding(Check check, const std::string& where, const std::string& message);
  /** Pinned host memory: base -> bytes. */
  std::map<uintptr_t, u64> pinned;
  bool is_pinned(const void* address, u64 bytes) const;
  std::map<u64, std::pair<Stream*, bool>> async_allocations;
  u64 event_order = 0, capture_ids = 0;
  std::set<Capture*> captures;

  /** Back to the state after loading; configuration stays. */
  void reset();
  std::string snapshot();
  /** key=value;key=value. False, noted among the errors, for an unknown key or value. */
  bool configure(const std::string& text);

 private:
  void run_kernel(const KernelCall& call, const Stamp& stamp);
  void execute(const Work& work, const Stamp& stamp);
  void raise();

  std::unique_ptr<DeviceMemory> memory_;
  std::unique_ptr<Findings> findings_;
  std::unique_ptr<Order> order_;
  std::unordered_map<void*, std::unique_ptr<Object>> objects_;
  std::unique_ptr<Stream> legacy_;
  std::vector<Pending> pending_;
  Clock host_;
};

/** What an entry point needs before its body runs. */
enum class Need : u8 { nothing, init, context };

Result call(const char* name, Need need, const std::function<Result(Device&)>& body);
bool has_context();
/** CUdevice_attribute of the configured architecture. */
int device_attribute(const Device& device, int which);

inline void require(bool condition, const char* message, Result code = kInvalidValue) {
  if (!condition) throw Failure{code, message};
}

/** Reads kernelParams or extra into one block, with the checks the driver makes. */
KernelCall kernel_call(Device& device, void* function, const unsigned* grid, const unsigned* block, unsigned shared,
                       void** parameters, void** extra);
Work kernel_work(KernelCall call);

}  // namespace softcuda
