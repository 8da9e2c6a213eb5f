// Our own copies of two small things that new C++ headers take from the system's newest libraries, kept inside the
// addon by hidden visibility. See glibc.h. The rule easy to break: this file includes no header that declares them.
#if defined(__linux__) && defined(__x86_64__)
#include <new>

// std::shared_ptr asks whether the process has one thread (glibc 2.32); "no" is always right.
extern "C" {
__attribute__((visibility("hidden"))) extern const char __libc_single_threaded = 0;
}

// An allocator's answer to an impossible element count (libstdc++ 3.4.29).
namespace std {
__attribute__((visibility("hidden"), noreturn)) void __throw_bad_array_new_length() { throw std::bad_alloc(); }
}  // namespace std
#endif
