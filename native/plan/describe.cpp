// What a plan does, as data and as text. Called for plan.describe() and analyze().
//
//   cpu avx2, 2 threads: 3 launches, arena 1.5 KiB, persistent 2.0 MiB
//     1  matmul:tiled          block1/dense            24.0 KiB
#include <cstdio>

#include "core/text.h"
#include "plan/plan.h"

namespace gramian {
namespace {

std::string human(int64_t bytes) {
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  for (; value >= 1024 && unit < 4; ++unit) value /= 1024;
  char text[32];
  snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
  return text;
}

std::string padded(std::string text, size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

std::string text_of(const Description& about) {
  const std::string threads =
      about.threads == 0 ? "" : cat(", ", about.threads, about.threads == 1 ? " thread" : " threads");
  std::string text = cat(about.device, " ", about.isa, threads, ": ", about.launches.size(), " launches, arena ",
                         human(about.arena_bytes), ", persistent ", human(about.persistent_bytes), "\n");
  for (size_t i = 0; i < about.launches.size(); ++i) {
    const LaunchLine& line = about.launches[i];
    text += cat(padded(cat("  ", i + 1), 7), padded(line.kernel, 32), " ", padded(line.name, 40), " ",
                human(line.bytes), "\n");
  }
  for (const std::string& line : about.fused) text += cat("  fused: ", line, "\n");
  return text;
}

}  // namespace

Description describe(const Plan& plan, const Backend& backend) {
  Description about;
  about.device = backend.id();
  about.isa = backend.isa();
  about.threads = backend.threads();
  about.precision = backend.precision();
  about.arena_bytes = plan.arena_bytes;
  for (const Tensor& tensor : plan.graph.tensors)
    if (tensor.persistent()) about.persistent_bytes += tensor.bytes();
  for (const Step& step : plan.steps) {
    const char* variant = step.launch->variant;
    about.launches.push_back({step.node.op, variant ? cat(step.node.op, ":", variant) : step.node.op, step.node.name,
                              step.node.unit, step.bytes});
  }
  about.fused = plan.fused;
  about.text = text_of(about);
  return about;
}

}  // namespace gramian
