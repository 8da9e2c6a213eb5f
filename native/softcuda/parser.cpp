// PTX text -> ptx::Module. Called when a module is loaded. Knows the grammar nvcc uses and no opcode.
// The rule easy to break: registers and .param variables live in the innermost braces (a call sequence reuses param0),
// so names are looked up from the innermost scope outwards and every declaration makes a new one.
#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "lexer.h"
#include "ptx.h"

namespace softcuda::ptx {
namespace {

class Parser {
 public:
  explicit Parser(std::string_view text) : tokens_(tokenize(text)) {}
  Module parse();

 private:
  struct Scope {
    std::unordered_map<std::string, int> registers;
    std::unordered_map<std::string, std::string> variables;  // as written -> unique name
  };

  [[noreturn]] void fail(const std::string& what) const {
    const int line = at_ < tokens_.size() ? tokens_[at_].line : tokens_.empty() ? 0 : tokens_.back().line;
    const std::string near = at_ < tokens_.size() ? std::string(tokens_[at_].text) : "the end";
    throw LoadError("[ptx] line " + std::to_string(line) + ": " + what + ", near '" + near + "'");
  }
  std::string_view peek(size_t ahead = 0) const {
    return at_ + ahead < tokens_.size() ? tokens_[at_ + ahead].text : std::string_view();
  }
  std::string next() {
    if (at_ >= tokens_.size()) fail("the text ends too early");
    return std::string(tokens_[at_++].text);
  }
  bool accept(std::string_view text) {
    if (peek() != text) return false;
    ++at_;
    return true;
  }
  void expect(std::string_view text) {
    if (!accept(text)) fail("expected '" + std::string(text) + "'");
  }
  void skip_line() {
    const int line = tokens_[at_].line;
    while (at_ < tokens_.size() && tokens_[at_].line == line) ++at_;
  }
  void skip_braces() {
    expect("{");
    for (int depth = 1; depth > 0;) {
      const std::string token = next();
      depth += (token == "{") - (token == "}");
    }
  }

  i64 integer();
  Operand number();
  Variable variable(Space space);
  void initializer(Variable& variable, u32 element);
  void directive(Module& module);
  void function(Module& module, bool entry);
  std::vector<Variable> parameter_list();
  void launch_bounds(Function& function);
  void body(Function& function);
  void statement(Function& function);
  bool declaration(Function& function);
  void registers(Function& function);
  void location();
  void instruction(Function& function);
  Operand operand();
  Operand address();
  int find_register(const std::string& name) const;
  std::string resolve(const std::string& name) const;

  std::vector<Token> tokens_;
  size_t at_ = 0;
  std::vector<Scope> scopes_;
  Source source_;
  int unique_ = 0;
};

i64 Parser::integer() {
  const bool negative = accept("-");
  std::string text = next();
  if (!text.empty() && text.back() == 'U') text.pop_back();
  const bool hex = text.starts_with("0x") || text.starts_with("0X");
  const char* first = text.data() + (hex ? 2 : 0);
  u64 value = 0;
  const auto [end, error] = std::from_chars(first, text.data() + text.size(), value, hex ? 16 : 10);
  if (error != std::errc() || end != text.data() + text.size()) {
    --at_;
    fail("expected an integer");
  }
  return static_cast<i64>(negative ? ~value + 1 : value);
}

Operand Parser::number() {
  Operand result;
  result.kind = Operand::Kind::immediate;
  const std::string_view text = peek();
  if (text.size() > 2 && text[0] == '0' && std::string_view("fFdD").find(text[1]) != std::string_view::npos) {
    result.float_bits = text[1] == 'f' || text[1] == 'F' ? 32 : 64;
    result.value = std::stoull(next().substr(2), nullptr, 16);
  } else {
    result.value = static_cast<u64>(integer());
  }
  return result;
}

/** A declaration after its state space: .align 4 .b8 name[32] = {...} */
Variable Parser::variable(Space space) {
  Variable result;
  result.space = space;
  u32 element = 0, lanes = 1;
  bool aligned = false;
  while (peek().starts_with('.')) {
    const std::string word = next().substr(1);
    if (word == "ptr") {  // .param .u64 .ptr .global .align 16 name: a hint about what is pointed to
      while (peek() == ".global" || peek() == ".shared" || peek() == ".const" || peek() == ".local" ||
             peek() == ".align")
        if (next() == ".align") integer();
    } else if (word == "align") {
      result.align = static_cast<u32>(integer());
      aligned = true;
    } else if (word == "v2" || word == "v4") {
      lanes = word == "v2" ? 2 : 4;
    } else if (const auto type = parse_type(word)) {
      element = std::max(1u, bits_of(*type) / 8);
    } else {
      --at_;
      fail("unknown attribute of a variable");
    }
  }
  if (element == 0) fail("expected a type");
  if (!aligned) result.align = element * lanes;
  result.name = next();
  result.bytes = element * lanes;
  while (accept("[")) {
    if (accept("]")) {
      result.unsized = true;
      result.bytes = 0;
    } else {
      result.bytes *= static_cast<u64>(integer());
      expect("]");
    }
  }
  if (accept("=")) initializer(result, element);
  return result;
}

void Parser::initializer(Variable& variable, u32 element) {
  const auto value = [&] {
    const u64 bits = number().value;
    for (u32 byte = 0; byte < element; ++byte) variable.init.push_back(static_cast<u8>(bits >> (8 * byte)));
  };
  if (!accept("{")) return value();
  while (!accept("}")) {
    value();
    accept(",");
  }
}

Module Parser::parse() {
  Module module;
  while (at_ < tokens_.size()) directive(module);
  if (module.target == 0) fail("no .target directive");
  return module;
}

void Parser::directive(Module& module) {
  const std::string word = next();
  if (word == ".version" || word == ".address_size") {
    ++at_;
  } else if (word == ".target") {
    const std::string target = next();
    if (target.starts_with("sm_")) module.target = std::atoi(target.c_str() + 3);
    while (accept(",")) ++at_;
  } else if (word == ".file") {
    const int index = static_cast<int>(integer());
    const std::string name = next();
    module.files[index] = name.substr(1, name.size() - 2);
    while (accept(",")) ++at_;
  } else if (word == ".section") {
    ++at_;
    skip_braces();
  } else if (word == ".global" || word == ".const" || word == ".shared") {
    module.globals.push_back(variable(word == ".global"  ? Space::global
                                      : word == ".const" ? Space::constant
                                                         : Space::shared));
    expect(";");
  } else if (word == ".entry" || word == ".func") {
    function(module, word == ".entry");
  } else if (word != ".visible" && word != ".weak" && word != ".extern") {
    --at_;
    fail("unknown directive");
  }
}

std::vector<Variable> Parser::parameter_list() {
  std::vector<Variable> list;
  if (!accept("(")) return list;
  while (!accept(")")) {
    expect(".param");
    list.push_back(variable(Space::param));
    accept(",");
  }
  return list;
}

void Parser::launch_bounds(Function& function) {
  while (peek().starts_with('.')) {
    const std::string word = next();
    if (word == ".maxntid" || word == ".reqntid") {
      function.max_threads = static_cast<u32>(integer());
      while (accept(",")) function.max_threads *= static_cast<u32>(integer());
    } else if (word == ".minnctapersm" || word == ".maxnreg") {
      integer();
    } else if (word != ".noreturn") {
      --at_;
      fail("unknown directive of a function");
    }
  }
}

void Parser::function(Module& module, bool entry) {
  Function result;
  result.entry = entry;
  result.line = tokens_[at_ - 1].line;
  scopes_.assign(1, {});
  source_ = {};
  if (!entry) result.returns = parameter_list();
  result.name = next();
  result.params = parameter_list();
  for (const Variable& variable : result.params) scopes_[0].variables[variable.name] = variable.name;
  for (const Variable& variable : result.returns) scopes_[0].variables[variable.name] = variable.name;
  launch_bounds(result);
  if (!accept(";")) {
    result.defined = true;
    body(result);
  }
  const auto known = std::find_if(module.functions.begin(), module.functions.end(),
                                  [&](const Function& other) { return other.name == result.name; });
  if (known == module.functions.end())
    module.functions.push_back(std::move(result));
  else if (result.defined)
    *known = std::move(result);
}

void Parser::body(Function& function) {
  expect("{");
  for (size_t depth = scopes_.size(); scopes_.size() >= depth;) {
    if (accept("{")) {
      scopes_.emplace_back();
    } else if (accept("}")) {
      if (scopes_.size() == depth) return;
      scopes_.pop_back();
    } else {
      statement(function);
    }
  }
}

void Parser::statement(Function& function) {
  if (peek(1) == ":") {
    const std::string label = next();
    ++at_;
    if (accept(".branchtargets")) {
      std::vector<std::string>& table = function.jump_tables[label];
      do table.push_back(next());
      while (accept(","));
      return expect(";");
    }
    if (!function.labels.emplace(label, static_cast<int>(function.code.size())).second)
      fail("the label '" + label + "' stands twice in one function");
    return;
  }
  if (peek().starts_with('.')) {
    if (!declaration(function)) fail("unknown directive in a function");
    return;
  }
  instruction(function);
}

bool Parser::declaration(Function& function) {
  const std::string_view word = peek();
  if (word == ".loc") return location(), true;
  if (word == ".pragma") return skip_line(), true;
  if (word == ".reg") return ++at_, registers(function), true;
  const Space space = word == ".shared"  ? Space::shared
                      : word == ".local" ? Space::local
                      : word == ".param" ? Space::param
                                         : Space::generic;
  if (space == Space::generic) return false;
  ++at_;
  Variable declared = variable(space);
  const std::string unique = declared.name + (scopes_.size() > 1 ? "#" + std::to_string(++unique_) : "");
  scopes_.back().variables[declared.name] = unique;
  declared.name = unique;
  function.locals.push_back(std::move(declared));
  expect(";");
  return true;
}

void Parser::registers(Function& function) {
  const auto type = parse_type(next().substr(1));
  if (!type) fail("unknown register type");
  const auto add = [&](const std::string& name) {
    scopes_.back().registers[name] = static_cast<int>(function.registers.size());
    function.registers.push_back({name, bits_of(*type)});
  };
  do {
    const std::string name = next();
    if (accept("<")) {
      const i64 count = integer();
      expect(">");
      for (i64 i = 0; i < count; ++i) add(name + std::to_string(i));
    } else {
      add(name);
    }
  } while (accept(","));
  expect(";");
}

/** .loc file line column[, function_name ..., inlined_at ...]: ends with its line of text. */
void Parser::location() {
  const size_t start = at_++;
  source_.file = static_cast<int>(integer());
  source_.line = static_cast<int>(integer());
  at_ = start;
  skip_line();
}

int Parser::find_register(const std::string& name) const {
  for (size_t i = scopes_.size(); i-- > 0;)
    if (const auto found = scopes_[i].registers.find(name); found != scopes_[i].registers.end()) return found->second;
  return -1;
}

std::string Parser::resolve(const std::string& name) const {
  for (size_t i = scopes_.size(); i-- > 0;)
    if (const auto found = scopes_[i].variables.find(name); found != scopes_[i].variables.end()) return found->second;
  return name;
}

void Parser::instruction(Function& function) {
  Instruction result;
  result.line = tokens_[at_].line;
  result.source = source_;
  if (accept("@")) {
    result.guard_negated = accept("!");
    result.guard = find_register(next());
    if (result.guard < 0) fail("unknown guard predicate");
  }
  result.spelling = next();
  for (size_t begin = 0; begin <= result.spelling.size();) {
    const size_t end = std::min(result.spelling.find('.', begin), result.spelling.size());
    result.parts.push_back(result.spelling.substr(begin, end - begin));
    begin = end + 1;
  }
  while (!accept(";")) {
    result.operands.push_back(operand());
    if (!accept(",") && peek() != ";") fail("expected ',' or ';'");
  }
  function.code.push_back(std::move(result));
}

Operand Parser::address() {
  Operand result;
  result.kind = Operand::Kind::address;
  if (std::isdigit(static_cast<unsigned char>(peek()[0]))) {
    result.offset = integer();
  } else {
    const std::string name = next();
    result.reg = find_register(name);
    if (result.reg < 0) {
      if (name[0] == '%') fail("unknown register '" + name + "'");
      result.name = resolve(name);
    }
    if (accept("+") || peek() == "-") result.offset = integer();
  }
  expect("]");
  return result;
}

Operand Parser::operand() {
  Operand result;
  if (accept("[")) return address();
  if (peek() == "{" || peek() == "(") {
    const std::string close = next() == "{" ? "}" : ")";
    result.kind = Operand::Kind::list;
    while (!accept(close)) {
      result.list.push_back(operand());
      accept(",");
    }
    return result;
  }
  if (peek() == "-" || std::isdigit(static_cast<unsigned char>(peek()[0]))) return number();
  result.negated = accept("!");
  const std::string name = next();
  if (name == "_") {
    result.kind = Operand::Kind::sink;
  } else if (const int reg = find_register(name); reg >= 0) {
    result.kind = Operand::Kind::reg;
    result.reg = reg;
  } else if (name[0] == '%') {
    result.kind = Operand::Kind::special;
    result.name = name;
  } else {
    result.kind = Operand::Kind::symbol;
    result.name = resolve(name);
    if (accept("+")) result.offset = integer();
  }
  if (accept("|")) {
    const std::string partner = next();
    result.partner = find_register(partner);
    if (result.partner < 0 && partner != "_") fail("unknown register '" + partner + "'");
  }
  return result;
}

}  // namespace

Module parse_ptx(std::string_view text) { return Parser(text).parse(); }

}  // namespace softcuda::ptx
