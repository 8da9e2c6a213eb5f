// The loops of native/pixels as functions of the addon.
#pragma once
#include <napi.h>

namespace gramian {

/** { gray, halve, sample, sampleSquare, hog } of a tier; see src/native.ts. */
Napi::Object define_pixels(Napi::Env env, const char* isa);

}  // namespace gramian
