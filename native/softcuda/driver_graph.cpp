// Driver entries: graphs and their executable form.
// The rule easy to break: an executable graph is a copy; changing its kernel parameters leaves the graph alone.
#include <algorithm>

#include "device.h"

namespace softcuda {
namespace {

/** Nodes are owned by their graph, so their handles are checked there. */
Node& node_at(Device& device, void* handle) {
  for (const auto& [key, object] : device.objects()) {
    if (object->kind != Object::Kind::graph) continue;
    for (const auto& node : static_cast<Graph&>(*object).nodes)
      if (node.get() == handle) return *node;
  }
  throw Failure{kInvalidValue, "no live node has this handle"};
}

/** Each step continues the line of a predecessor that nobody else continues, else it opens a branch. */
std::unique_ptr<GraphExec> instantiate(Device& device, Graph& graph) {
  auto exec = std::make_unique<GraphExec>();
  std::set<size_t> continued;
  for (const auto& node : graph.nodes) {
    GraphExec::Step step;
    step.work = node->work;
    bool own_line = true;
    for (Node* before : node->before) {
      const size_t index = exec->index.at(before);
      step.before.push_back(index);
      if (own_line && continued.insert(index).second) {
        step.line = exec->steps[index].line;
        own_line = false;
      }
    }
    if (own_line) step.line = device.order().new_line();
    exec->index[node.get()] = exec->steps.size();
    exec->steps.push_back(std::move(step));
  }
  return exec;
}

KernelCall call_of(Device& device, const KernelNodeParams* params) {
  require(params != nullptr, "no parameters");
  void* function = params->function != nullptr ? params->function : params->kernel;
  return kernel_call(device, function, params->grid, params->block, params->shared, params->parameters, params->extra);
}

}  // namespace
}  // namespace softcuda

using namespace softcuda;

extern "C" {

Result cuGraphCreate(void** graph, unsigned flags) {
  return call("cuGraphCreate", Need::context, [=](Device& device) {
    require(graph != nullptr && flags == 0, "no place for the graph, or unknown flags");
    *graph = device.add(std::make_unique<Graph>());
    return kSuccess;
  });
}
Result cuGraphDestroy(void* graph) {
  return call("cuGraphDestroy", Need::context, [=](Device& device) {
    device.at<Graph>(graph, Object::Kind::graph, kInvalidValue);
    device.remove(graph);
    return kSuccess;
  });
}
Result cuGraphGetNodes(void* graph, void** nodes, size_t* count) {
  return call("cuGraphGetNodes", Need::context, [=](Device& device) {
    const Graph& of = device.at<Graph>(graph, Object::Kind::graph, kInvalidValue);
    require(count != nullptr, "no place for the count");
    if (nodes != nullptr)
      for (size_t i = 0; i < *count; ++i) nodes[i] = i < of.nodes.size() ? of.nodes[i].get() : nullptr;
    *count = nodes == nullptr ? of.nodes.size() : std::min(*count, of.nodes.size());
    return kSuccess;
  });
}
Result cuGraphNodeGetType(void* node, int* type) {
  return call("cuGraphNodeGetType", Need::context, [=](Device& device) {
    const auto kind = node_at(device, node).work.kind;
    *type = kind == Work::Kind::library ? 0 : static_cast<int>(kind);  // a library call is some kernel
    return kSuccess;
  });
}
Result cuGraphKernelNodeGetParams_v2(void* node, KernelNodeParams* params) {
  return call("cuGraphKernelNodeGetParams_v2", Need::context, [=](Device& device) {
    Node& of = node_at(device, node);
    require(of.work.kind == Work::Kind::kernel, "not a kernel node");
    *params = {};
    params->function = of.work.kernel.function;
    std::copy_n(of.work.kernel.grid, 3, params->grid);
    std::copy_n(of.work.kernel.block, 3, params->block);
    params->shared = of.work.kernel.shared;
    return kSuccess;
  });
}
Result cuGraphAddKernelNode_v2(void** node, void* graph, void* const* before, size_t count,
                               const KernelNodeParams* params) {
  return call("cuGraphAddKernelNode_v2", Need::context, [=](Device& device) {
    Graph& to = device.at<Graph>(graph, Object::Kind::graph, kInvalidValue);
    auto added = std::make_unique<Node>();
    added->graph = &to;
    for (size_t i = 0; i < count; ++i) {
      Node& dependency = node_at(device, before[i]);
      require(dependency.graph == &to, "a dependency of another graph");
      added->before.insert(&dependency);
    }
    added->work = kernel_work(call_of(device, params));
    *node = added.get();
    to.nodes.push_back(std::move(added));
    return kSuccess;
  });
}
Result cuGraphInstantiateWithFlags(void** exec, void* graph, unsigned long long) {
  return call("cuGraphInstantiateWithFlags", Need::context, [=](Device& device) {
    require(exec != nullptr, "no place for the executable graph");
    *exec = device.add(instantiate(device, device.at<Graph>(graph, Object::Kind::graph, kInvalidValue)));
    return kSuccess;
  });
}
Result cuGraphExecDestroy(void* exec) {
  return call("cuGraphExecDestroy", Need::context, [=](Device& device) {
    device.at<GraphExec>(exec, Object::Kind::graph_exec, kInvalidValue);
    device.remove(exec);
    return kSuccess;
  });
}
Result cuGraphUpload(void* exec, void* stream) {
  return call("cuGraphUpload", Need::context, [=](Device& device) {
    device.at<GraphExec>(exec, Object::Kind::graph_exec, kInvalidValue);
    device.stream(stream);
    return kSuccess;
  });
}
Result cuGraphLaunch(void* exec, void* stream) {
  return call("cuGraphLaunch", Need::context, [=](Device& device) {
    Stream& on = device.stream(stream);
    require(on.capture == nullptr, "graphs in graphs are not supported", kNotSupported);
    device.launch_graph(device.at<GraphExec>(exec, Object::Kind::graph_exec, kInvalidValue), on);
    return kSuccess;
  });
}
Result cuGraphExecKernelNodeSetParams_v2(void* exec, void* node, const KernelNodeParams* params) {
  return call("cuGraphExecKernelNodeSetParams_v2", Need::context, [=](Device& device) {
    GraphExec& in = device.at<GraphExec>(exec, Object::Kind::graph_exec, kInvalidValue);
    const auto found = in.index.find(static_cast<Node*>(node));
    require(found != in.index.end(), "the node is not part of this graph");
    GraphExec::Step& step = in.steps[found->second];
    require(step.work.kind == Work::Kind::kernel, "not a kernel node");
    step.work = kernel_work(call_of(device, params));
    return kSuccess;
  });
}
}
