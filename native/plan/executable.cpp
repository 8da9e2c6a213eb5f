// See executable.h.
#include "plan/executable.h"

#include <cmath>
#include <cstring>
#include <ctime>

#include "core/text.h"

namespace gramian {
namespace {

double now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace

Executable::Executable(Plan plan, std::shared_ptr<Backend> backend, Store& store)
    : backend_(std::move(backend)), plan_(std::move(plan)) {
  Store added;
  for (size_t id = 0; id < plan_.graph.tensors.size(); ++id) {
    const Tensor& tensor = plan_.graph.tensors[id];
    if (tensor.kind == Kind::input) inputs_.push_back(static_cast<int32_t>(id));
    if (!tensor.persistent()) continue;
    const auto found = store.find(tensor.name);
    if (found == store.end()) {
      auto memory = allocate(tensor.bytes());
      fill(tensor, memory->data());
      added[tensor.name] = persistent_[tensor.name] =
          std::make_shared<Persistent>(Persistent{tensor.shape, tensor.dtype, tensor.bytes(), std::move(memory)});
      continue;
    }
    const Persistent& shared = *found->second;
    if (shared.shape != tensor.shape || shared.dtype != tensor.dtype)
      throw Error(Code::graph, cat("[compile] \"", tensor.name, "\" is ", dtype_name(tensor.dtype), " ", tensor.shape,
                                   " here and ", dtype_name(shared.dtype), " ", shared.shape, " in the shared plan"));
    persistent_[tensor.name] = found->second;
  }
  checked_.assign(plan_.checks.size(), -1);
  const std::vector<char> written = written_persistents(plan_);
  for (size_t id = 0; id < written.size(); ++id)
    if (const Tensor& tensor = plan_.graph.tensors[id]; written[id] && tensor.dtype == DType::i32)
      updated_.push_back(persistent_.at(tensor.name).get());
  allocate_inputs();
  allocate_storages();
  bind();
  record();
  store.merge(added);
  // The initial data was the caller's, for the duration of this call.
  for (Tensor& tensor : plan_.graph.tensors) tensor.data = nullptr;
}

std::shared_ptr<Memory> Executable::allocate(int64_t bytes) {
  auto memory = std::make_shared<Memory>(backend_, bytes);
  allocated_bytes_ += bytes;
  return memory;
}

// All inputs in one block, so that a device can be fed by one copy.
void Executable::allocate_inputs() {
  constexpr int64_t kAlign = 64;
  for (int32_t id : inputs_) {
    const int64_t bytes = plan_.graph.tensors[id].bytes();
    feeds_.push_back({input_bytes_, bytes});
    input_bytes_ += checked_add(bytes, kAlign - 1) / kAlign * kAlign;
  }
  input_address_.resize(plan_.storages.size());
  if (input_bytes_ == 0) return;
  inputs_memory_ = allocate(input_bytes_);
  for (size_t i = 0; i < inputs_.size(); ++i)
    input_address_[plan_.places[inputs_[i]].storage] = static_cast<char*>(inputs_memory_->data()) + feeds_[i].offset;
}

void Executable::allocate_storages() {
  memory_.resize(plan_.storages.size());
  for (size_t i = 0; i < plan_.storages.size(); ++i) {
    const Storage& storage = plan_.storages[i];
    if (storage.kind == Kind::temp || storage.kind == Kind::input) continue;
    const Tensor& tensor = plan_.graph.tensors[storage.tensor];
    if (tensor.persistent()) {
      memory_[i] = persistent_[tensor.name]->memory;
      continue;
    }
    memory_[i] = allocate(storage.bytes());
    if (tensor.kind != Kind::constant) continue;
    fill(tensor, memory_[i]->data());
    for (const RangeCheck& check : plan_.checks)
      if (check.tensor == storage.tensor) {
        scratch_.resize(tensor.count());
        backend_->download(scratch_.data(), memory_[i]->data(), tensor.bytes(), 1, tensor.bytes());
        check_range(check, scratch_.data());
      }
  }
  if (plan_.arena_bytes > 0) arena_ = allocate(plan_.arena_bytes);
}

void Executable::fill(const Tensor& tensor, void* memory) const {
  const int64_t bytes = tensor.bytes();
  if (tensor.data) {
    backend_->upload(memory, bytes, tensor.data, 1, bytes);
    return;
  }
  std::vector<char> values(bytes);
  for (int64_t i = 0, count = tensor.count(); i < count; ++i) {
    if (tensor.dtype == DType::f32) {
      reinterpret_cast<float*>(values.data())[i] = static_cast<float>(tensor.fill);
    } else if (tensor.dtype == DType::i32) {
      reinterpret_cast<int32_t*>(values.data())[i] = static_cast<int32_t>(tensor.fill);
    } else {
      reinterpret_cast<uint8_t*>(values.data())[i] = static_cast<uint8_t>(tensor.fill);
    }
  }
  backend_->upload(memory, bytes, values.data(), 1, bytes);
}

void* Executable::address(int32_t id) const {
  const Place& place = plan_.places[id];
  const Storage& storage = plan_.storages[place.storage];
  char* base = storage.kind == Kind::temp    ? static_cast<char*>(arena_->data()) + storage.arena_offset
               : storage.kind == Kind::input ? input_address_[place.storage]
                                             : static_cast<char*>(memory_[place.storage]->data());
  return base + place.offset * item_bytes(storage.dtype);
}

void Executable::bind() {
  for (Step& step : plan_.steps) {
    std::vector<void*> inputs, outputs;
    for (int32_t id : step.node.inputs) inputs.push_back(address(id));
    for (int32_t id : step.node.outputs) outputs.push_back(address(id));
    void* workspace =
        step.launch->workspace_bytes > 0 ? static_cast<char*>(arena_->data()) + step.workspace_offset : nullptr;
    backend_->bind(*step.launch, inputs, outputs, workspace);
  }
}

void Executable::record() {
  StepSpec spec;
  for (const Step& step : plan_.steps) {
    spec.launches.push_back(step.launch.get());
    spec.lines.push_back(step.line);
  }
  spec.inputs = inputs_memory_ ? inputs_memory_->data() : nullptr;
  spec.input_bytes = input_bytes_;
  spec.feeds = feeds_;
  for (int32_t id : plan_.graph.outputs) {
    spec.outputs.push_back(operand_of(plan_, id));
    spec.outputs.back().data = address(id);
  }
  recording_ = backend_->record(spec);
}

Persistent* Executable::find(const std::string& name) const {
  const auto found = persistent_.find(name);
  return found == persistent_.end() ? nullptr : found->second.get();
}

void Executable::check_range(const RangeCheck& check, const int32_t* values) const {
  const Tensor& tensor = plan_.graph.tensors[check.tensor];
  for (int64_t i = 0, count = tensor.count(); i < count; ++i)
    if (values[i] < 0 || values[i] >= check.limit)
      throw Error(Code::execution, cat("[", check.op, "] \"", tensor.name, "\"[", i, "] is ", values[i],
                                       ", expected 0 to ", check.limit - 1));
}

// Labels and indices that persist are checked before the first launch, when something may have changed them since.
void Executable::prepare_step() {
  for (size_t i = 0; i < plan_.checks.size(); ++i) {
    const RangeCheck& check = plan_.checks[i];
    const Tensor& tensor = plan_.graph.tensors[check.tensor];
    if (!tensor.persistent()) continue;
    const Persistent& values = *persistent_.at(tensor.name);
    if (checked_[i] == values.changes) continue;
    scratch_.resize(tensor.count());
    backend_->download(scratch_.data(), address(check.tensor), tensor.bytes(), 1, tensor.bytes());
    check_range(check, scratch_.data());
    checked_[i] = values.changes;
  }
  for (Persistent* persistent : updated_) ++persistent->changes;
}

void Executable::feed(const std::vector<const void*>& values) {
  for (size_t i = 0; i < inputs_.size(); ++i)
    for (const RangeCheck& check : plan_.checks)
      if (check.tensor == inputs_[i]) check_range(check, static_cast<const int32_t*>(values[i]));
  if (recording_) return recording_->feed(values);
  for (size_t i = 0; i < inputs_.size(); ++i)
    backend_->upload(address(inputs_[i]), feeds_[i].bytes, values[i], 1, feeds_[i].bytes);
}

void Executable::check(const Failure& failure) const {
  if (!failure.sentence) return;
  const std::string& node = plan_.steps[failure.launch].node.name;
  throw Error(Code::execution, cat(failure.sentence, " (node \"", node, "\")"));
}

bool Executable::begin(const std::atomic<bool>& cancelled) {
  prepare_step();
  if (!recording_) return run_launches(cancelled, nullptr);
  if (cancelled.load(std::memory_order_relaxed)) return false;
  recording_->begin();
  return true;
}

void Executable::finish(const std::vector<void*>& outputs) {
  if (recording_) return check(recording_->finish(outputs));
  for (size_t i = 0; i < outputs.size(); ++i) read_output(i, outputs[i]);
}

void Executable::abandon() noexcept {
  if (recording_) recording_->abandon();
}

bool Executable::profile(const std::atomic<bool>& cancelled, double* seconds) {
  prepare_step();
  if (!recording_) return run_launches(cancelled, seconds);
  if (cancelled.load(std::memory_order_relaxed)) return false;
  check(recording_->profile(seconds));
  return true;
}

bool Executable::run_launches(const std::atomic<bool>& cancelled, double* seconds) {
  double before = seconds ? now() : 0;
  for (size_t i = 0; i < plan_.steps.size(); ++i) {
    if (cancelled.load(std::memory_order_relaxed)) return false;
    if (const char* sentence = backend_->run(*plan_.steps[i].launch)) check({sentence, i});
    if (!seconds) continue;
    const double after = now();
    *seconds++ += after - before;
    before = after;
  }
  return true;
}

void Executable::read_output(size_t index, void* to) const {
  const int32_t id = plan_.graph.outputs[index];
  const Operand operand = operand_of(plan_, id);
  const Tensor& tensor = plan_.graph.tensors[id];
  const int64_t item = item_bytes(tensor.dtype);
  backend_->download(to, address(id), operand.pitch * item, tensor.rows(), tensor.cols() * item);
}

}  // namespace gramian
