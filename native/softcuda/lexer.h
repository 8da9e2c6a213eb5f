// Cuts PTX text into words. Used by parser.cpp only. The rule easy to break: tokens are views into the text, which must
// outlive them, and a dot belongs to a word (ld.global.f32, %tid.x and .reg are one token each).
#pragma once
#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

#include "types.h"

namespace softcuda::ptx {

struct Token {
  std::string_view text;
  int line;
};

inline bool word_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$' || c == '%' || c == '.';
}

/** Position after the comment, string or word that starts at `at`. */
inline size_t token_end(std::string_view text, size_t at) {
  if (text[at] == '"') {
    const size_t end = text.find('"', at + 1);
    return end == std::string_view::npos ? text.size() : end + 1;
  }
  if (!word_character(text[at])) return at + 1;
  size_t end = at;
  while (end < text.size()) {
    if (word_character(text[end]))
      ++end;
    else if (text.substr(end, 2) == "::")  // shared::cta
      end += 2;
    else
      break;
  }
  return end;
}

inline std::vector<Token> tokenize(std::string_view text) {
  std::vector<Token> tokens;
  int line = 1;
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c == '\n') ++line;
    if (c == '\0') break;
    if (std::isspace(static_cast<unsigned char>(c))) {
      ++at;
    } else if (text.substr(at, 2) == "//") {
      at = std::min(text.find('\n', at), text.size());
    } else if (text.substr(at, 2) == "/*") {
      const size_t end = std::min(text.find("*/", at), text.size() - 2) + 2;
      for (; at < end; ++at) line += text[at] == '\n';
    } else {
      const size_t end = token_end(text, at);
      tokens.push_back({text.substr(at, end - at), line});
      at = end;
    }
  }
  return tokens;
}

}  // namespace softcuda::ptx
