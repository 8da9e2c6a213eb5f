#include "graph/graph.h"
namespace gramian { void check_contract(const Graph&, const Node&) {} }
