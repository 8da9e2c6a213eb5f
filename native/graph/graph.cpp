// Small accessors of the graph data. See graph.h.
#include "graph/graph.h"

#include "core/text.h"

namespace gramian {

const char* kind_name(Kind kind) {
  switch (kind) {
    case Kind::input:
      return "input";
    case Kind::param:
      return "param";
    case Kind::state:
      return "state";
    case Kind::constant:
      return "const";
    case Kind::temp:
      return "temp";
  }
  return "temp";
}

int64_t Tensor::count() const {
  int64_t product = 1;
  for (int64_t extent : shape) product *= extent;
  return product;
}

const Attribute* Node::find(const char* key) const {
  for (const Attribute& attr : attrs)
    if (attr.key == key) return &attr;
  return nullptr;
}

static const Attribute& need(const Node& node, const char* key) {
  const Attribute* found = node.find(key);
  if (!found) throw Error(Code::graph, cat("[", node.op, "] needs the attribute \"", key, "\""));
  return *found;
}

double Node::number(const char* key) const { return need(*this, key).number; }
const std::string& Node::string(const char* key) const { return need(*this, key).string; }
const std::vector<double>& Node::list(const char* key) const { return need(*this, key).list; }

}  // namespace gramian
