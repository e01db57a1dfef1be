// Graphs: captured from streams, or made of nodes. A launch queues the nodes one after another, in
// an order that their edges allow.

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "tests/simulator/cudart/copy.h"
#include "tests/simulator/cudart/launch.h"

namespace conformance::sim::cudart {
namespace {

struct Graph {
  std::vector<std::unique_ptr<GraphNode>> nodes;  ///< their addresses are the handles

  /// The place of a node, or how many there are if it is none of this graph.
  std::size_t place_of(cudaGraphNode_t node) const {
    const auto found = std::find_if(nodes.begin(), nodes.end(), [&](const auto& one) {
      return reinterpret_cast<cudaGraphNode_t>(one.get()) == node;
    });
    return static_cast<std::size_t>(found - nodes.begin());
  }
};

/// A graph that can be launched.
struct Executable {
  std::vector<GraphNode> nodes;
  std::vector<cudaGraphNode_t> made_from;
  CompletionPtr last;  ///< the end of its last launch
};

struct Graphs {
  std::mutex mutex;
  std::map<cudaGraph_t, std::unique_ptr<Graph>> all;
  std::map<cudaGraphExec_t, std::unique_ptr<Executable>> executables;

  Graph* find(cudaGraph_t handle) const {
    const auto found = all.find(handle);
    return found == all.end() ? nullptr : found->second.get();
  }
  Executable* find(cudaGraphExec_t handle) const {
    const auto found = executables.find(handle);
    return found == executables.end() ? nullptr : found->second.get();
  }
  cudaGraph_t add(std::unique_ptr<Graph> graph) {
    const auto handle = reinterpret_cast<cudaGraph_t>(graph.get());
    all[handle] = std::move(graph);
    return handle;
  }
};
Graphs& graphs() {
  static auto* const one = new Graphs;
  return *one;
}

/// An order that the edges allow; of the nodes that are ready, the one that was added last comes
/// first, so that an edge that is missing is missed.
std::vector<std::size_t> order_of(const std::vector<GraphNode>& nodes) {
  std::vector<std::size_t> order;
  std::vector<bool> taken(nodes.size(), false);
  while (order.size() < nodes.size()) {
    for (std::size_t i = nodes.size(); i-- > 0;) {
      const auto& after = nodes[i].after;
      if (taken[i] ||
          !std::all_of(after.begin(), after.end(), [&](auto one) { return taken[one]; }))
        continue;
      taken[i] = true;
      order.push_back(i);
      break;
    }
  }
  return order;
}

bool same_kind(const Operation& one, const Operation& other) {
  constexpr std::string_view kKernel = "kernel:";
  if (one.call.starts_with(kKernel)) return other.call.starts_with(kKernel);
  return one.call == other.call;
}

/// Adds a node that `make` gives its operation.
template <typename Make>
cudaError_t add_node(const char* name, cudaGraphNode_t* node, cudaGraph_t handle,
                     const cudaGraphNode_t* after, std::size_t count, Make make) {
  return on_device(name, [&](Device& device, const Firing&) {
    const std::lock_guard lock(graphs().mutex);
    Graph* graph = graphs().find(handle);
    if (node == nullptr || graph == nullptr) return cudaErrorInvalidValue;
    auto made = std::make_unique<GraphNode>();
    for (std::size_t i = 0; i < count; ++i) {
      made->after.push_back(graph->place_of(after[i]));
      if (made->after.back() == graph->nodes.size()) return cudaErrorInvalidValue;
    }
    const cudaError_t error = make(device, made->operation);
    if (error != cudaSuccess) return error;
    *node = reinterpret_cast<cudaGraphNode_t>(made.get());
    graph->nodes.push_back(std::move(made));
    return cudaSuccess;
  });
}

/// Gives a node of an executable graph another operation.
template <typename Make>
cudaError_t change_node(const char* name, cudaGraphExec_t handle, cudaGraphNode_t node, Make make) {
  return on_device(name, [&](Device& device, const Firing&) {
    const std::lock_guard lock(graphs().mutex);
    Executable* executable = graphs().find(handle);
    if (executable == nullptr) return cudaErrorInvalidValue;
    const auto& from = executable->made_from;
    const auto place = std::find(from.begin(), from.end(), node) - from.begin();
    if (place == static_cast<std::ptrdiff_t>(from.size())) return cudaErrorInvalidValue;
    Operation& operation = executable->nodes[static_cast<std::size_t>(place)].operation;
    Operation changed;
    const cudaError_t error = make(device, changed);
    if (error != cudaSuccess) return error;
    if (!same_kind(operation, changed)) return cudaErrorInvalidValue;
    operation = std::move(changed);
    return cudaSuccess;
  });
}

cudaError_t make_kernel_node(Device& device, const cudaKernelNodeParams* parameters,
                             Operation& operation) {
  if (parameters == nullptr) return cudaErrorInvalidValue;
  return make_launch(device, parameters->func,
                     {parameters->gridDim, parameters->blockDim, parameters->sharedMemBytes},
                     parameters->kernelParams, operation);
}

cudaError_t make_copy_node(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                           Operation& operation) {
  bool waits = false;
  return make_copy("cudaGraphAddMemcpyNode1D", to, from, one_row(bytes), kind, operation, waits);
}

/// Queues the nodes of a graph behind its last launch.
cudaError_t launch(const StreamPtr& stream, Executable& executable, bool waits_for_last) {
  std::vector<CompletionPtr> after;
  if (executable.last && waits_for_last) after.push_back(executable.last);
  for (const std::size_t place : order_of(executable.nodes)) {
    const Operation& operation = executable.nodes[place].operation;
    const Firing firing =
        World::get().faults().at({operation.call, operation.device, operation.peer});
    if (firing.code && *firing.code != cudaSuccess) return static_cast<cudaError_t>(*firing.code);
    if (firing.code) continue;
    executable.last = stream->device().enqueue(stream, operation, std::move(after), firing);
    after.clear();
  }
  return static_cast<cudaError_t>(stream->device().lost());
}

}  // namespace

extern "C" {

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  return on_stream("cudaStreamBeginCapture", handle, [&](const StreamPtr& stream, const Firing&) {
    return begin_capture(stream, mode);
  });
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  return on_stream("cudaStreamEndCapture", handle, [&](const StreamPtr& stream, const Firing&) {
    if (graph == nullptr) return cudaErrorInvalidValue;
    *graph = nullptr;
    std::vector<GraphNode> nodes;
    const cudaError_t error = end_capture(stream, nodes);
    if (error != cudaSuccess) return error;
    auto made = std::make_unique<Graph>();
    for (GraphNode& node : nodes) {
      made->nodes.push_back(std::make_unique<GraphNode>(std::move(node)));
    }
    const std::lock_guard lock(graphs().mutex);
    *graph = graphs().add(std::move(made));
    return cudaSuccess;
  });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  return on_stream("cudaStreamIsCapturing", handle, [&](const StreamPtr& stream, const Firing&) {
    return status == nullptr ? cudaErrorInvalidValue : capture_status(stream, *status);
  });
}

cudaError_t cudaGraphCreate(cudaGraph_t* graph, unsigned flags) {
  return on_device("cudaGraphCreate", [&](Device&, const Firing&) {
    if (graph == nullptr || flags != 0) return cudaErrorInvalidValue;
    const std::lock_guard lock(graphs().mutex);
    *graph = graphs().add(std::make_unique<Graph>());
    return cudaSuccess;
  });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return on_device("cudaGraphDestroy", [&](Device&, const Firing&) {
    const std::lock_guard lock(graphs().mutex);
    return graphs().all.erase(graph) == 1 ? cudaSuccess : cudaErrorInvalidValue;
  });
}

cudaError_t cudaGraphAddKernelNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                   const cudaGraphNode_t* after, size_t count,
                                   const cudaKernelNodeParams* parameters) {
  return add_node("cudaGraphAddKernelNode", node, graph, after, count,
                  [&](Device& device, Operation& operation) {
                    return make_kernel_node(device, parameters, operation);
                  });
}

cudaError_t cudaGraphAddMemcpyNode1D(cudaGraphNode_t* node, cudaGraph_t graph,
                                     const cudaGraphNode_t* after, size_t count, void* to,
                                     const void* from, size_t bytes, cudaMemcpyKind kind) {
  return add_node("cudaGraphAddMemcpyNode1D", node, graph, after, count,
                  [&](Device&, Operation& operation) {
                    return make_copy_node(to, from, bytes, kind, operation);
                  });
}

cudaError_t cudaGraphGetNodes(cudaGraph_t handle, cudaGraphNode_t* nodes, size_t* count) {
  return on_device("cudaGraphGetNodes", [&](Device&, const Firing&) {
    const std::lock_guard lock(graphs().mutex);
    const Graph* graph = graphs().find(handle);
    if (graph == nullptr || count == nullptr) return cudaErrorInvalidValue;
    if (nodes == nullptr) *count = graph->nodes.size();
    for (std::size_t i = 0; nodes != nullptr && i < *count; ++i) {
      nodes[i] = i < graph->nodes.size() ? reinterpret_cast<cudaGraphNode_t>(graph->nodes[i].get())
                                         : nullptr;
    }
    *count = std::min(*count, graph->nodes.size());
    return cudaSuccess;
  });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* handle, cudaGraph_t graph_handle,
                                 unsigned long long flags) {
  return on_device("cudaGraphInstantiate", [&](Device& device, const Firing&) {
    const std::lock_guard lock(graphs().mutex);
    const Graph* graph = graphs().find(graph_handle);
    if (handle == nullptr || graph == nullptr || flags != 0) return cudaErrorInvalidValue;
    auto made = std::make_unique<Executable>();
    for (const auto& node : graph->nodes) {
      made->nodes.push_back(*node);
      made->made_from.push_back(reinterpret_cast<cudaGraphNode_t>(node.get()));
      // A fault may lose an edge.
      std::erase_if(made->nodes.back().after, [&](std::size_t) {
        return World::get().faults().at({"edge of a graph", device.index()}).value.has_value();
      });
    }
    *handle = reinterpret_cast<cudaGraphExec_t>(made.get());
    graphs().executables[*handle] = std::move(made);
    return cudaSuccess;
  });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  return on_device("cudaGraphExecDestroy", [&](Device&, const Firing&) {
    const std::lock_guard lock(graphs().mutex);
    return graphs().executables.erase(executable) == 1 ? cudaSuccess : cudaErrorInvalidValue;
  });
}

cudaError_t cudaGraphUpload(cudaGraphExec_t handle, cudaStream_t stream_handle) {
  return on_stream("cudaGraphUpload", stream_handle, [&](const StreamPtr&, const Firing&) {
    const std::lock_guard lock(graphs().mutex);
    return graphs().find(handle) == nullptr ? cudaErrorInvalidValue : cudaSuccess;
  });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t handle, cudaStream_t stream_handle) {
  return on_stream(
      "cudaGraphLaunch", stream_handle, [&](const StreamPtr& stream, const Firing& firing) {
        const std::lock_guard lock(graphs().mutex);
        Executable* executable = graphs().find(handle);
        if (executable == nullptr) return cudaErrorInvalidValue;
        // A graph within a graph is not simulated.
        if (const cudaError_t error = check_not_captured(stream); error != cudaSuccess) {
          return error;
        }
        return launch(stream, *executable, !firing.value);
      });
}

cudaError_t cudaGraphExecUpdate(cudaGraphExec_t handle, cudaGraph_t graph_handle,
                                cudaGraphExecUpdateResultInfo* info) {
  return on_device("cudaGraphExecUpdate", [&](Device&, const Firing&) {
    const std::lock_guard lock(graphs().mutex);
    Executable* executable = graphs().find(handle);
    const Graph* graph = graphs().find(graph_handle);
    if (executable == nullptr || graph == nullptr || info == nullptr) return cudaErrorInvalidValue;
    const auto refuse = [&](cudaGraphExecUpdateResult result, cudaGraphNode_t node) {
      *info = {};
      info->result = result;
      info->errorNode = node;
      return cudaErrorGraphExecUpdateFailure;
    };
    if (executable->nodes.size() != graph->nodes.size()) {
      return refuse(cudaGraphExecUpdateErrorTopologyChanged, nullptr);
    }
    for (std::size_t i = 0; i < graph->nodes.size(); ++i) {
      const auto node = reinterpret_cast<cudaGraphNode_t>(graph->nodes[i].get());
      if (executable->nodes[i].after != graph->nodes[i]->after) {
        return refuse(cudaGraphExecUpdateErrorTopologyChanged, node);
      }
      if (!same_kind(executable->nodes[i].operation, graph->nodes[i]->operation)) {
        return refuse(cudaGraphExecUpdateErrorNodeTypeChanged, node);
      }
    }
    for (std::size_t i = 0; i < graph->nodes.size(); ++i) {
      executable->nodes[i].operation = graph->nodes[i]->operation;
    }
    *info = {};
    info->result = cudaGraphExecUpdateSuccess;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphExecKernelNodeSetParams(cudaGraphExec_t executable, cudaGraphNode_t node,
                                             const cudaKernelNodeParams* parameters) {
  return change_node("cudaGraphExecKernelNodeSetParams", executable, node,
                     [&](Device& device, Operation& operation) {
                       return make_kernel_node(device, parameters, operation);
                     });
}

cudaError_t cudaGraphExecMemcpyNodeSetParams1D(cudaGraphExec_t executable, cudaGraphNode_t node,
                                               void* to, const void* from, size_t bytes,
                                               cudaMemcpyKind kind) {
  return change_node("cudaGraphExecMemcpyNodeSetParams1D", executable, node,
                     [&](Device&, Operation& operation) {
                       return make_copy_node(to, from, bytes, kind, operation);
                     });
}

}  // extern "C"
}  // namespace conformance::sim::cudart
