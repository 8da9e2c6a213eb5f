// Approximate functions: rcp sqrt rsqrt ex2 lg2 sin cos tanh and div. Rows of the opcode table.
// By default each is correctly rounded (computed in double, rounded once). With Options::approximate the result is
// moved by up to the bound that the PTX ISA states for .f32, by a hash of seed, function and operands: a given GPU too
// answers the same question the same way. The rule easy to break: exact results (0, 1, infinity, NaN) of special values
// stay.
#include <cmath>

#include "dispatch.h"
#include "formats.h"

namespace softcuda {
namespace {

/** In [-1, 1], from the seed, the function and the bits of the operands. */
double unit_error(u64 seed, u32 function, u64 bits) {
  u64 x = seed * 0x9e3779b97f4a7c15ull + function * 0xd1b54a32d192ed03ull + bits;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ x >> 27) * 0x94d049bb133111ebull;
  x ^= x >> 31;
  return static_cast<double>(static_cast<i64>(x)) * 0x1p-63;
}

double ulp(double value) { return std::ldexp(1.0, std::max(std::ilogb(value), -126) - 23); }

double exact(Approximate function, double x) {
  switch (function) {
    case Approximate::rcp:
      return 1.0 / x;
    case Approximate::sqrt:
      return std::sqrt(x);
    case Approximate::rsqrt:
      return 1.0 / std::sqrt(x);
    case Approximate::ex2:
      return std::exp2(x);
    case Approximate::lg2:
      return std::log2(x);
    case Approximate::sin:
      return std::sin(x);
    case Approximate::cos:
      return std::cos(x);
    case Approximate::tanh:
      return std::tanh(x);
  }
  return 0;
}

/** The largest absolute error that the PTX ISA (sections on rcp, sqrt, ... .approx.f32) allows at x. */
double bound(Approximate function, double x, double value) {
  switch (function) {
    case Approximate::rcp:
      return ulp(value);
    case Approximate::sqrt:
      return std::fabs(value) * 0x1p-23;
    case Approximate::rsqrt:
      return std::fabs(value) * std::exp2(-22.9);
    case Approximate::ex2:
      return std::fabs(value) * 0x1p-22;
    case Approximate::lg2:
      return x > 0.5 && x < 2 ? 0x1p-22 : std::fabs(value) * 0x1p-22;
    case Approximate::sin:
    case Approximate::cos:
      return std::fabs(x) <= 3.14159265358979 ? std::exp2(-20.5) : std::exp2(-14.7);
    case Approximate::tanh:
      return std::fabs(value) * 0x1p-11;
  }
  return 0;
}

bool ordinary(double x, double value) { return std::isfinite(x) && x != 0 && std::isfinite(value) && value != 0; }

/** value moved toward the bound and cut to float without leaving it: truncation goes toward the exact value. */
float moved(double value, double allowed, double unit) {
  const float result = static_cast<float>(value + allowed * unit);
  return std::fabs(static_cast<double>(result) - value) <= allowed ? result : static_cast<float>(value);
}

float evaluate(Approximate function, float in, bool ftz, const Options& options) {
  const double x = ftz ? flush(in) : in, value = exact(function, x);
  float result = static_cast<float>(value);
  if (options.approximate && ordinary(x, value))
    result = moved(value, bound(function, x, value),
                   unit_error(options.seed, static_cast<u32>(function), std::bit_cast<u32>(in)));
  return ftz ? flush(result) : result;
}

void run_approximate(Warp& w, const Instr& i) {
  const float* a = cells<float>(w, i.src[0]);
  float* out = cells<float>(w, i.dst[0]);
  const auto function = static_cast<Approximate>(i.mode);
  const Options& options = *w.launch->options;
  for_lanes(w.mask, [&](u32 l) { out[l] = evaluate(function, a[l], i.flag, options); });
}

/** div.approx and div.full: within 2 ulp; beyond 2^126 the divisor's reciprocal is flushed to zero by .approx. */
void run_approximate_div(Warp& w, const Instr& i) {
  const float *a = cells<float>(w, i.src[0]), *b = cells<float>(w, i.src[1]);
  float* out = cells<float>(w, i.dst[0]);
  const Options& options = *w.launch->options;
  const bool full = i.mode == 1;
  for_lanes(w.mask, [&](u32 l) {
    const float x = i.flag ? flush(a[l]) : a[l], y = i.flag ? flush(b[l]) : b[l];
    const double value = static_cast<double>(x) / y;
    float result = static_cast<float>(value);
    if (!full && std::fabs(y) > 0x1p126f && std::isfinite(y))
      result = std::isinf(x) ? NAN : std::copysign(0.0f, result);
    else if (options.approximate && ordinary(x, value))
      result =
          moved(value, 2 * ulp(value),
                unit_error(options.seed, 100, static_cast<u64>(std::bit_cast<u32>(x)) << 32 | std::bit_cast<u32>(y)));
    out[l] = i.flag ? flush(result) : result;
  });
}

template <Approximate function>
void row(Op& op) {
  if (!op.take("approx")) op.fail("expected .approx");
  op.type({Type::f32});
  row_approximate(op, function);
}

}  // namespace

void row_approximate(Op& op, Approximate function) {
  op.take("f32");
  op.out.flag = op.take("ftz");
  op.done();
  op.operands(1, 32);
  op.out.mode = static_cast<u8>(function);
  op.out.run = run_approximate;
}

void row_approximate_div(Op& op) {
  op.out.flag = op.take("ftz");
  op.done();
  op.operands(2, 32);
  op.out.mode = op.ptx.parts[1] == "full";
  op.out.run = run_approximate_div;
}

void add_approximate_ops(OpTable& table) {
  table["rsqrt"] = row<Approximate::rsqrt>;
  table["ex2"] = row<Approximate::ex2>;
  table["lg2"] = row<Approximate::lg2>;
  table["sin"] = row<Approximate::sin>;
  table["cos"] = row<Approximate::cos>;
  table["tanh"] = row<Approximate::tanh>;
}

}  // namespace softcuda
