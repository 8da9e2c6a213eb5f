// cat("a ", 3, " b"): builds a message from strings and numbers, and shapes as `8x48x48x32`. Used wherever an error or
// a description is written; std::to_string and streams are avoided because they follow the locale.
#pragma once
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace gramian {

inline void append_text(std::string& out, std::string_view text) { out += text; }
inline void append_text(std::string& out, const std::vector<int64_t>& shape) {
  char digits[32];
  for (size_t i = 0; i < shape.size(); ++i) {
    snprintf(digits, sizeof digits, "%s%" PRId64, i ? "x" : "", shape[i]);
    out += digits;
  }
}
template <typename Number>
requires std::is_arithmetic_v<Number>
void append_text(std::string& out, Number number) {
  char digits[40];
  if constexpr (std::is_floating_point_v<Number>) {
    snprintf(digits, sizeof digits, "%g", static_cast<double>(number));
  } else {
    snprintf(digits, sizeof digits, "%" PRId64, static_cast<int64_t>(number));
  }
  out += digits;
}

template <typename... Parts>
std::string cat(const Parts&... parts) {
  std::string out;
  (append_text(out, parts), ...);
  return out;
}

}  // namespace gramian
