// A client of the CUDA driver API that the tests drive: reads one command a line, prints one JSON object a line. Finds
// libcuda.so.1 and libcublas.so.13 as any program does, through the loader's path. Spoken to by
// test/softcuda/client.ts.
//   NAME ARGUMENT...     calls a function of either library; all arguments are integers or pointers
//   host V BYTES         memory of the host           put ADDRESS HEX       get ADDRESS BYTES
//   word ADDRESS X       writes a 64-bit word
//   load V ADDRESS       a 64-bit word of the host into a variable
//   params V T:X...      an array as kernelParams     node V F GX GY GZ BX BY BZ SHARED PARAMS    a node's parameters
//   text V FILE          a file as a C string         value V               the value of a variable
//   configure TEXT, snapshot, reset                   clock                 nanoseconds
// An argument is a number, $V, $V+N, &V (the variable's address) or s:TEXT. The rule easy to break: functions are
// called with integer registers only, so none with a float argument can be called.
#include <dlfcn.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using std::string;
using u64 = uint64_t;
using Words = std::vector<string>;

std::map<string, u64> variables;
std::deque<std::vector<uint8_t>> memory;
std::deque<string> strings;
void* driver = nullptr;
void* blas = nullptr;
u64 callbacks = 0;

extern "C" void count_callback(void*) { ++callbacks; }

uint8_t* keep(size_t bytes) {
  memory.emplace_back(bytes + 16);
  return memory.back().data();
}
u64 address(const void* pointer) { return reinterpret_cast<u64>(pointer); }

u64 evaluate(const string& text) {
  if (text[0] == '&') return address(&variables[text.substr(1)]);
  if (text.starts_with("s:")) return address(strings.emplace_back(text.substr(2)).c_str());
  if (text[0] == '$') {
    const size_t plus = text.find('+');
    const auto found = variables.find(text.substr(1, plus == string::npos ? plus : plus - 1));
    if (found == variables.end()) throw std::runtime_error("no variable " + text);
    return found->second + (plus == string::npos ? 0 : std::stoull(text.substr(plus + 1), nullptr, 0));
  }
  return text[0] == '-' ? static_cast<u64>(std::stoll(text, nullptr, 0)) : std::stoull(text, nullptr, 0);
}

void put_hex(uint8_t* to, const string& hex) {
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    to[i / 2] = static_cast<uint8_t>(std::stoi(hex.substr(i, 2), nullptr, 16));
}

/** u64:$a, u32:5, i32:-1, f32:1.5, f64:..., hex:... as the bytes of one parameter. */
void* parameter(const string& text) {
  const size_t colon = text.find(':');
  const string type = text.substr(0, colon), value = text.substr(colon + 1);
  uint8_t* to = keep(type == "hex" ? value.size() / 2 : 8);
  if (type == "hex") {
    put_hex(to, value);
  } else if (type == "f32") {
    const float number = std::strtof(value.c_str(), nullptr);
    std::memcpy(to, &number, 4);
  } else if (type == "f64") {
    const double number = std::strtod(value.c_str(), nullptr);
    std::memcpy(to, &number, 8);
  } else {
    const u64 number = evaluate(value);
    std::memcpy(to, &number, 8);
  }
  return to;
}

u64 parameters(const Words& words, size_t from) {
  auto** list = reinterpret_cast<void**>(keep((words.size() - from + 1) * 8));
  for (size_t i = from; i < words.size(); ++i) list[i - from] = parameter(words[i]);
  return address(list);
}

/** CUDA_KERNEL_NODE_PARAMS: function, grid, block, shared, kernelParams and three nulls. */
u64 node_parameters(const Words& words) {
  uint8_t* to = keep(80);
  const u64 function = evaluate(words.at(2)), list = evaluate(words.at(10));
  std::memcpy(to, &function, 8);
  for (size_t i = 0; i < 7; ++i) {
    const auto number = static_cast<uint32_t>(evaluate(words.at(3 + i)));
    std::memcpy(to + 8 + 4 * i, &number, 4);
  }
  std::memcpy(to + 40, &list, 8);
  return address(to);
}

string hex_of(const uint8_t* from, size_t bytes) {
  static const char digits[] = "0123456789abcdef";
  string text;
  for (size_t i = 0; i < bytes; ++i) {
    text += digits[from[i] >> 4];
    text += digits[from[i] & 15];
  }
  return text;
}

string file_text(const string& name) {
  std::ifstream file(name, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + name);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void* symbol(const string& name) {
  if (void* found = dlsym(driver, name.c_str())) return found;
  if (name.starts_with("cublas")) {
    if (blas == nullptr) blas = dlopen("libcublas.so.13", RTLD_NOW);
    if (blas == nullptr) throw std::runtime_error(dlerror());
    if (void* found = dlsym(blas, name.c_str())) return found;
  }
  throw std::runtime_error("no function " + name);
}

int call(const Words& words) {
  u64 a[23] = {};
  if (words.size() > 24) throw std::runtime_error("too many arguments");
  for (size_t i = 1; i < words.size(); ++i) a[i - 1] = evaluate(words[i]);
  using Function = int (*)(u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64,
                           u64, u64, u64, u64, u64);
  return reinterpret_cast<Function>(symbol(words[0]))(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10],
                                                      a[11], a[12], a[13], a[14], a[15], a[16], a[17], a[18], a[19],
                                                      a[20], a[21], a[22]);
}

string number(const char* name, u64 value) { return string("{\"") + name + "\":\"" + std::to_string(value) + "\"}"; }

string run(const Words& words) {
  const string& name = words[0];
  if (name == "host") return variables[words.at(1)] = address(keep(evaluate(words.at(2)))), "{}";
  if (name == "put") return put_hex(reinterpret_cast<uint8_t*>(evaluate(words.at(1))), words.at(2)), "{}";
  if (name == "get")
    return "{\"hex\":\"" + hex_of(reinterpret_cast<const uint8_t*>(evaluate(words.at(1))), evaluate(words.at(2))) +
           "\"}";
  if (name == "word") {
    const u64 word = evaluate(words.at(2));
    std::memcpy(reinterpret_cast<void*>(evaluate(words.at(1))), &word, 8);
    return "{}";
  }
  if (name == "load") {
    std::memcpy(&variables[words.at(1)], reinterpret_cast<const void*>(evaluate(words.at(2))), 8);
    return "{}";
  }
  if (name == "params") return variables[words.at(1)] = parameters(words, 2), "{}";
  if (name == "node") return variables[words.at(1)] = node_parameters(words), "{}";
  if (name == "text")
    return variables[words.at(1)] = address(strings.emplace_back(file_text(words.at(2))).c_str()), "{}";
  if (name == "value") return number("value", variables[words.at(1)]);
  if (name == "callback") return variables[words.at(1)] = address(reinterpret_cast<void*>(count_callback)), "{}";
  if (name == "callbacks") return number("value", callbacks);
  if (name == "clock")
    return number("value", static_cast<u64>(std::chrono::steady_clock::now().time_since_epoch().count()));
  if (name == "configure")
    return "{\"rc\":" +
           std::to_string(reinterpret_cast<int (*)(const char*)>(symbol("softcudaConfigure"))(words.at(1).c_str())) +
           "}";
  if (name == "snapshot") return reinterpret_cast<const char* (*)()>(symbol("softcudaSnapshot"))();
  if (name == "reset") return reinterpret_cast<void (*)()>(symbol("softcudaReset"))(), "{}";
  return "{\"rc\":" + std::to_string(call(words)) + "}";
}

}  // namespace

int main() {
  driver = dlopen("libcuda.so.1", RTLD_NOW);
  if (driver == nullptr) return std::fprintf(stderr, "%s\n", dlerror()), 1;
  for (string line; std::getline(std::cin, line);) {
    Words words;
    std::istringstream stream(line);
    for (string word; stream >> word;) words.push_back(word);
    if (words.empty()) continue;
    try {
      std::cout << run(words) << '\n' << std::flush;
    } catch (const std::exception& error) {
      std::fprintf(stderr, "client: %s: %s\n", line.substr(0, 200).c_str(), error.what());
      return 1;
    }
  }
  return 0;
}
