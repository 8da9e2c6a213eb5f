// Argument checks for native/pixels. See pixels.h and the types in src/native.ts.
// The rule easy to break: every index that a loop will use lies in its array before the loop begins.
#include "binding/pixels.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "binding/convert.h"
#include "core/text.h"
#include "pixels/pixels.h"

namespace gramian {
namespace {

using pixels::Axis;
using pixels::Image;
using pixels::Loops;
using pixels::Region;

constexpr int64_t kMostExtent = 1 << 16;

/** Those of the tier that the called function was made for. */
const Loops& loops(const Napi::CallbackInfo& info) { return *static_cast<const Loops*>(info.Data()); }

template <typename T>
struct Items {
  T* data;
  int64_t count;
};

template <typename T>
constexpr napi_typedarray_type kArrayType = napi_uint8_array;
template <>
constexpr napi_typedarray_type kArrayType<int32_t> = napi_int32_array;
template <>
constexpr napi_typedarray_type kArrayType<float> = napi_float32_array;

template <typename T>
Items<T> read_items(const Napi::Value& value, const char* what) {
  napi_typedarray_type type;
  size_t length;
  void* data;
  if (!value.IsTypedArray() ||
      napi_get_typedarray_info(value.Env(), value, &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != kArrayType<T>)
    throw Error(Code::argument, cat("[pixels] ", what, " is no array of its kind"));
  return {static_cast<T*>(data), static_cast<int64_t>(length)};
}

template <typename T>
T* read_array_of(const Napi::Value& value, int64_t least, const char* what) {
  const Items<T> items = read_items<T>(value, what);
  if (items.count < least || (!items.data && least > 0))
    throw Error(Code::argument, cat("[pixels] ", what, " has ", least, " values or more, got ", items.count));
  return items.data;
}

int64_t extent(const Napi::Value& value, const char* what) { return read_integer(value, 1, kMostExtent, what); }

/** Pixels, width, channels. */
Image read_image(const Napi::CallbackInfo& info, size_t first) {
  const int64_t width = extent(info[first + 1], "a width"), channels = read_integer(info[first + 2], 1, 3, "channels");
  if (channels == 2) throw Error(Code::argument, "[pixels] channels are 1 or 3, got 2");
  const Items<uint8_t> bytes = read_items<uint8_t>(info[first], "an image");
  const int64_t height = bytes.data ? bytes.count / (width * channels) : 0;
  if (height < 1) throw Error(Code::argument, cat("[pixels] an image of width ", width, " has a row or more"));
  return {bytes.data, width, height, channels};
}

/** Left, top, right, bottom, within width x height. */
Region read_region(const Napi::CallbackInfo& info, size_t first, int64_t width, int64_t height) {
  const Region region = {read_integer(info[first], 0, width, "left"), read_integer(info[first + 1], 0, height, "top"),
                         read_integer(info[first + 2], 0, width, "right"),
                         read_integer(info[first + 3], 0, height, "bottom")};
  if (region.left > region.right || region.top > region.bottom)
    throw Error(Code::argument, "[pixels] a region ends behind where it begins");
  return region;
}

/** Points along an axis as they were checked: the caller's arrays may be the output's memory, or shared with others. */
struct Points {
  std::vector<int32_t> low, high;
  std::vector<float> share;
  Axis axis() const { return {low.data(), high.data(), share.data(), static_cast<int64_t>(low.size())}; }
};

/** Low, high, share of points along an axis of `size` pixels. */
Points read_points(const Napi::CallbackInfo& info, size_t first, int64_t size) {
  const Items<int32_t> low = read_items<int32_t>(info[first], "low");
  const int64_t count = low.count;
  const int32_t* const high = read_array_of<int32_t>(info[first + 1], count, "high");
  const float* const share = read_array_of<float>(info[first + 2], count, "share");
  Points points = {{low.data, low.data + count}, {high, high + count}, {share, share + count}};
  const auto outside = [&](int32_t at) { return at < 0 || at >= size; };
  if (std::ranges::any_of(points.low, outside) || std::ranges::any_of(points.high, outside))
    throw Error(Code::argument, cat("[pixels] a point lies outside the ", size, " pixels of its axis"));
  if (!std::ranges::all_of(points.share, [](float part) { return part >= 0 && part <= 1; }))
    throw Error(Code::argument, "[pixels] a point takes a share of 0 to 1 of its second pixel");
  return points;
}

int64_t count_of(const Points& columns, const Points& rows, int64_t channels) {
  return checked_mul(checked_mul(static_cast<int64_t>(columns.low.size()), static_cast<int64_t>(rows.low.size())),
                     channels);
}

/** gray(from, width, to, left, top, right, bottom) */
Napi::Value gray(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const Items<uint8_t> bytes = read_items<uint8_t>(info[0], "an image");
    const int64_t width = extent(info[1], "a width"), height = bytes.data ? bytes.count / (3 * width) : 0;
    const Region region = read_region(info, 3, width, height);
    loops(info).gray({bytes.data, width, height, 3}, region,
                     read_array_of<uint8_t>(info[2], width * height, "a grey image"));
    return info.Env().Undefined();
  });
}

/** halve(from, width, channels, to, left, top, right, bottom) */
Napi::Value halve(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const Image from = read_image(info, 0);
    const int64_t width = from.width / 2, height = from.height / 2;
    const Region region = read_region(info, 4, width, height);
    uint8_t* const to = read_array_of<uint8_t>(info[3], width * height * from.channels, "half an image");
    loops(info).halve(from, region, to, width);
    return info.Env().Undefined();
  });
}

/** sample(from, width, channels, columns' low, high, share, rows' low, high, share, out, offset) */
Napi::Value sample(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const Image from = read_image(info, 0);
    const Points columns = read_points(info, 3, from.width), rows = read_points(info, 6, from.height);
    const int64_t offset = read_integer(info[10], 0, INT64_C(1) << 40, "an offset");
    const int64_t bytes = count_of(columns, rows, from.channels);
    uint8_t* const out = read_array_of<uint8_t>(info[9], checked_add(offset, bytes), "samples");
    std::vector<double> scratch(2 * columns.low.size() * static_cast<size_t>(from.channels));
    loops(info).sample(from, columns.axis(), rows.axis(), out + offset, scratch.data());
    return info.Env().Undefined();
  });
}

/** sampleSquare(from, width, channels, columns' low, high, share, rows' low, high, share, mean, out) */
Napi::Value sample_square(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const Image from = read_image(info, 0);
    const int64_t side = std::max(from.width, from.height);
    const Points columns = read_points(info, 3, side), rows = read_points(info, 6, side);
    const float* const mean = read_array_of<float>(info[9], 3, "mean");
    float* const out = read_array_of<float>(info[10], count_of(columns, rows, 3), "samples");
    std::vector<float> scratch(static_cast<size_t>(side * from.channels));
    loops(info).sample_square(from, columns.axis(), rows.axis(), mean, out, scratch.data());
    return info.Env().Undefined();
  });
}

/** hog(patch, cells, out, offset, stride) */
Napi::Value hog(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const int64_t cells = read_integer(info[1], 1, 1024, "cells"), side = cells * pixels::kHogCell;
    const uint8_t* const patch = read_array_of<uint8_t>(info[0], side * side, "a patch");
    const int64_t offset = read_integer(info[3], 0, INT64_C(1) << 40, "an offset");
    const int64_t stride = read_integer(info[4], pixels::kHogChannels, 1 << 20, "a stride");
    const int64_t floats = offset + (cells * cells - 1) * stride + pixels::kHogChannels;
    float* const out = read_array_of<float>(info[2], floats, "channels") + offset;
    // Not a vector, which would clear it: the loop clears what it has to.
    const std::unique_ptr<float[]> scratch(new float[static_cast<size_t>(pixels::hog_scratch(cells))]);
    loops(info).hog(patch, cells, out, stride, scratch.get());
    return info.Env().Undefined();
  });
}

}  // namespace

Napi::Object define_pixels(Napi::Env env, const char* isa) {
  auto* const table = const_cast<Loops*>(&pixels::loops_of(isa));
  Napi::Object object = Napi::Object::New(env);
  const auto set = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) {
    object.Set(name, Napi::Function::New(env, function, name, table));
  };
  set("gray", gray), set("halve", halve), set("sample", sample), set("sampleSquare", sample_square), set("hog", hog);
  return object;
}

}  // namespace gramian
