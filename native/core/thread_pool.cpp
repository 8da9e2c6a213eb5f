// See thread_pool.h. Plain pthreads: std::thread and std::condition_variable would raise the libstdc++ the binary
// needs.
#include "core/thread_pool.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace gramian {
namespace {

// About 20 microseconds: longer than the gap between two launches of a step, far shorter than a time slice.
constexpr int kSpins = 2000;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  pthread_mutex_init(&mutex_, nullptr);
  pthread_cond_init(&wakeup_, nullptr);
  for (int i = 1; i < threads; ++i) {
    Worker& worker = workers_.emplace_back();
    worker.pool = this;
    // A system that refuses more threads gets a smaller pool: results do not depend on its size.
    if (pthread_create(&worker.thread, nullptr, main, &worker) == 0) continue;
    workers_.pop_back();
    break;
  }
  for (const Worker& worker : workers_)
    while (worker.id.load() == 0) sched_yield();
}

ThreadPool::~ThreadPool() {
  stop_.store(true);
  wake();
  for (Worker& worker : workers_) pthread_join(worker.thread, nullptr);
  pthread_cond_destroy(&wakeup_);
  pthread_mutex_destroy(&mutex_);
}

void* ThreadPool::main(void* self) {
  auto* const worker = static_cast<Worker*>(self);
  worker->id.store(static_cast<pid_t>(syscall(SYS_gettid)));
  worker->pool->work();
  return nullptr;
}

// A worker that is woken on the caller's own processor, because the others are busy for a few microseconds more, waits
// there until the system moves it, which takes milliseconds: longer than many a step.
void ThreadPool::keep_apart() {
  const int here = sched_getcpu();
  cpu_set_t others;
  if (here < 0 || here == avoided_ || sched_getaffinity(0, sizeof others, &others) != 0) return;
  avoided_ = here;
  CPU_CLR(here, &others);
  if (CPU_COUNT(&others) == 0) return;
  for (const Worker& worker : workers_) sched_setaffinity(worker.id.load(), sizeof others, &others);
}

void ThreadPool::wake() {
  pthread_mutex_lock(&mutex_);
  pthread_cond_broadcast(&wakeup_);
  pthread_mutex_unlock(&mutex_);
}

void ThreadPool::drain() {
  for (int64_t i = next_.fetch_add(1); i < count_; i = next_.fetch_add(1)) body_(context_, i);
}

void ThreadPool::run(int64_t count, Body body, void* context) {
  if (count <= 0) return;
  if (count == 1 || workers_.empty() || busy_.exchange(true)) {
    for (int64_t i = 0; i < count; ++i) body(context, i);
    return;
  }
  body_ = body;
  context_ = context;
  count_ = count;
  next_.store(0);
  const uint64_t generation = (gate_.load() >> 16) + 1;
  gate_.store(generation << 16 | kOpen);
  if (sleepers_.load() > 0) {
    keep_apart();
    wake();
  }
  drain();
  // Close the gate: nobody enters any more; then wait for those inside to finish their last piece.
  gate_.fetch_and(~kOpen);
  for (int spins = 0; (gate_.load() & kInside) != 0; ++spins) {
    if (spins < kSpins) {
      relax();
    } else {
      sched_yield();
    }
  }
  busy_.store(false);
}

void ThreadPool::work() {
  uint64_t seen = 0;  // the last generation this worker took part in, or found closed
  int spins = 0;
  while (!stop_.load()) {
    uint64_t gate = gate_.load();
    if ((gate & kOpen) != 0 && gate >> 16 != seen) {
      if (!gate_.compare_exchange_weak(gate, gate + 1)) continue;
      seen = gate >> 16;
      drain();
      gate_.fetch_sub(1);
      spins = 0;
    } else if (++spins < kSpins) {
      relax();
    } else {
      pthread_mutex_lock(&mutex_);
      sleepers_.fetch_add(1);
      for (gate = gate_.load(); !stop_.load() && ((gate & kOpen) == 0 || gate >> 16 == seen); gate = gate_.load())
        pthread_cond_wait(&wakeup_, &mutex_);
      sleepers_.fetch_sub(1);
      pthread_mutex_unlock(&mutex_);
      spins = 0;
    }
  }
}

}  // namespace gramian
