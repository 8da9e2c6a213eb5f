// See pixels.h. One table per tier; the tiers are those of the build.
#include <cstring>

#include "pixels/pixels.h"

// clang-format off
#define GRAMIAN_PIXELS(isa)                                                             \
  namespace isa {                                                                       \
  extern const Gray kGray;                                                              \
  extern const Halve kHalve;                                                            \
  extern const Sample kSample;                                                          \
  extern const SampleSquare kSampleSquare;                                              \
  extern const Hog kHog;                                                                \
  static const Loops& loops() {                                                         \
    static const Loops table = {kGray, kHalve, kSample, kSampleSquare, kHog};           \
    return table;                                                                       \
  }                                                                                     \
  }
// clang-format on

namespace gramian::pixels {

GRAMIAN_PIXELS(scalar)
#if defined(__x86_64__)
GRAMIAN_PIXELS(sse)
GRAMIAN_PIXELS(avx2)
GRAMIAN_PIXELS(avx512)
#endif

const Loops& loops_of([[maybe_unused]] const char* isa) {
#if defined(__x86_64__)
  if (strcmp(isa, "sse") == 0) return sse::loops();
  if (strcmp(isa, "avx2") == 0) return avx2::loops();
  if (strcmp(isa, "avx512") == 0) return avx512::loops();
#endif
  return scalar::loops();
}

}  // namespace gramian::pixels
