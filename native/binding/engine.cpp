// See engine.h.
#include "binding/engine.h"

#include <cstring>
#include <new>

#include "core/text.h"

namespace gramian {
namespace {

const char* name_of(Job::Kind kind) {
  return kind == Job::Kind::profile ? "profile" : kind == Job::Kind::run ? "run" : "step";
}

}  // namespace

Engine::Engine(Deliver deliver, Finished finished, void* context)
    : deliver_(deliver), finished_(finished), context_(context) {
  pthread_mutex_init(&mutex_, nullptr);
  pthread_cond_init(&changed_, nullptr);
  pthread_cond_init(&idle_, nullptr);
}

Engine::~Engine() {
  cancel();
  pthread_cond_destroy(&idle_);
  pthread_cond_destroy(&changed_);
  pthread_mutex_destroy(&mutex_);
}

void Engine::push(Job* job) {
  if (!started_) {
    if (pthread_create(&thread_, nullptr, main, this) != 0)
      throw Error(Code::device, "[engine] the system refused to start a thread");
    started_ = true;
  }
  job->next = nullptr;
  pthread_mutex_lock(&mutex_);
  (tail_ ? tail_->next : head_) = job;
  tail_ = job;
  pthread_cond_signal(&changed_);
  pthread_mutex_unlock(&mutex_);
}

void Engine::run_here(Job& job) {
  pthread_mutex_lock(&mutex_);
  while (head_ || running_) pthread_cond_wait(&idle_, &mutex_);
  pthread_mutex_unlock(&mutex_);
  execute(job);
}

bool Engine::close() {
  pthread_mutex_lock(&mutex_);
  closing_ = true;
  pthread_cond_signal(&changed_);
  pthread_mutex_unlock(&mutex_);
  return started_;
}

void Engine::cancel() {
  cancelled_.store(true);
  pthread_mutex_lock(&mutex_);
  head_ = tail_ = nullptr;
  pthread_cond_signal(&changed_);
  pthread_mutex_unlock(&mutex_);
  if (started_ && !joined_) pthread_join(thread_, nullptr);
  joined_ = true;
}

void* Engine::main(void* self) {
  static_cast<Engine*>(self)->work();
  return nullptr;
}

Job* Engine::pop() {
  pthread_mutex_lock(&mutex_);
  running_ = false;
  if (!head_) pthread_cond_signal(&idle_);
  while (!head_ && !closing_ && !cancelled_.load()) pthread_cond_wait(&changed_, &mutex_);
  Job* job = head_;
  if (job) head_ = job->next;
  if (!head_) tail_ = nullptr;
  running_ = job != nullptr;
  pthread_mutex_unlock(&mutex_);
  return job;
}

void Engine::work() {
  while (Job* job = pop()) {
    execute(*job);
    if (cancelled_.load()) return;
    deliver_(context_, job);
  }
  if (!cancelled_.load()) finished_(context_);
}

void Engine::execute(Job& job) {
  try {
    switch (job.kind) {
      case Job::Kind::step:
      case Job::Kind::run:
        run_steps(job);
        break;
      case Job::Kind::profile:
        profile(job);
        break;
      case Job::Kind::read:
        job.plan->backend().download(job.results.data(), job.tensor->memory->data(), job.tensor->bytes, 1,
                                     job.tensor->bytes);
        break;
      case Job::Kind::write:
        ++job.tensor->changes;
        job.plan->backend().upload(job.tensor->memory->data(), job.tensor->bytes, job.staging.data(), 1,
                                   job.tensor->bytes);
        break;
    }
  } catch (const Error& error) {
    job.failed = true;
    job.code = error.code();
    job.message = error.what();
  } catch (const std::bad_alloc&) {
    job.failed = true;
    job.code = Code::device;
    job.message = "[engine] out of memory";
  }
}

void Engine::feed(const Job& job, int64_t step) {
  Executable& plan = *job.plan;
  values_.clear();
  for (size_t i = 0; i < job.staged.size(); ++i) {
    const int64_t bytes = plan.tensor(plan.inputs()[i]).bytes();
    values_.push_back(job.staging.data() + job.staged[i] + step * bytes);
  }
  plan.feed(values_);
}

void Engine::finish(Job& job) {
  Executable& plan = *job.plan;
  outputs_.clear();
  int64_t offset = 0;
  for (int32_t id : plan.plan().graph.outputs) {
    const int64_t bytes = plan.tensor(id).bytes();
    outputs_.push_back(job.results.data() + offset + job.completed * bytes);
    offset += job.steps * bytes;
  }
  plan.finish(outputs_);
}

void Engine::stop(Job& job) {
  job.failed = true;
  job.code = Code::aborted;
  job.message = cat("[", name_of(job.kind), "] aborted after ", job.completed, " of ", job.steps, " steps");
}

void Engine::run_steps(Job& job) {
  Executable& plan = *job.plan;
  try {
    int64_t begun = 0;
    for (; job.completed < job.steps; ++job.completed) {
      // A device that takes steps ahead is given them; what has begun is finished also after an abort.
      for (; begun < job.steps && begun - job.completed < plan.depth() && !job.aborted.load(); ++begun) {
        feed(job, begun);
        if (!plan.begin(cancelled_)) return;
      }
      if (begun == job.completed) return stop(job);
      finish(job);
    }
  } catch (...) {
    plan.abandon();
    throw;
  }
}

void Engine::profile(Job& job) {
  Executable& plan = *job.plan;
  try {
    if (!job.aborted.load()) feed(job, 0);
    for (; job.completed < job.steps; ++job.completed) {
      if (job.aborted.load()) return stop(job);
      if (!plan.profile(cancelled_, reinterpret_cast<double*>(job.results.data()))) return;
    }
  } catch (...) {
    plan.abandon();
    throw;
  }
}

}  // namespace gramian
