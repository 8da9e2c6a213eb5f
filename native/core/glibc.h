// Force-included into every file on x86-64 Linux: binds functions to their oldest glibc version, so that an addon built
// on a new system loads on every system Node runs on (glibc 2.28). check_versions.cmake fails the build when one lacks.
// The rule easy to break: a name may be listed only if its old version behaves the same for our calls.
#pragma once

#if defined(__linux__) && defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#include <features.h>
#ifdef __GLIBC__
#define GRAMIAN_OLD(name, version) __asm__(".symver " #name "," #name "@GLIBC_" version)
GRAMIAN_OLD(dlopen, "2.2.5");
GRAMIAN_OLD(dlsym, "2.2.5");
GRAMIAN_OLD(dlclose, "2.2.5");
GRAMIAN_OLD(dlerror, "2.2.5");
GRAMIAN_OLD(dladdr, "2.2.5");
GRAMIAN_OLD(pthread_create, "2.2.5");
GRAMIAN_OLD(pthread_join, "2.2.5");
GRAMIAN_OLD(exp, "2.2.5");
GRAMIAN_OLD(log, "2.2.5");
GRAMIAN_OLD(pow, "2.2.5");
GRAMIAN_OLD(expf, "2.2.5");
GRAMIAN_OLD(logf, "2.2.5");
GRAMIAN_OLD(powf, "2.2.5");
#undef GRAMIAN_OLD
#endif
#endif
