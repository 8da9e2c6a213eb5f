// The table of ops: what each takes, gives and must be told, and the shape relations its kernels rely on for memory
// safety. TypeScript has checked the same with better words; this is for graphs that come from elsewhere.
// The rule easy to break: an op that is missing here cannot be run, however many kernels it has.
#include <cmath>
#include <cstring>

#include "graph/contract_case.h"

namespace gramian {
namespace {

constexpr size_t kAny = SIZE_MAX;
#define GRAMIAN_CONV "strideH:n strideW:n padTop:n padBottom:n padLeft:n padRight:n dilationH:n dilationW:n groups:n"
#define GRAMIAN_POOL "kernelH:n kernelW:n strideH:n strideW:n padTop:n padBottom:n padLeft:n padRight:n"
#define GRAMIAN_NORM "eps:n activation:s alpha:n"

constexpr Contract kContracts[] = {
    // Elementwise
    {"relu", 1, 1, "f", "f", "", check_same},
    {"tanh", 1, 1, "f", "f", "", check_same},
    {"sigmoid", 1, 1, "f", "f", "", check_same},
    {"exp", 1, 1, "f", "f", "", check_same},
    {"log", 1, 1, "f", "f", "", check_same},
    {"sqrt", 1, 1, "f", "f", "", check_same},
    {"square", 1, 1, "f", "f", "", check_same},
    {"abs", 1, 1, "f", "f", "", check_same},
    {"leakyRelu", 1, 1, "f", "f", "alpha:n", check_same},
    {"elu", 1, 1, "f", "f", "alpha:n", check_same},
    {"reluGrad", 2, 2, "f", "f", "", check_same},
    {"tanhGrad", 2, 2, "f", "f", "", check_same},
    {"sigmoidGrad", 2, 2, "f", "f", "", check_same},
    {"leakyReluGrad", 2, 2, "f", "f", "alpha:n", check_same},
    {"eluGrad", 2, 2, "f", "f", "alpha:n", check_same},
    {"absGrad", 2, 2, "f", "f", "", check_same},
    {"affine", 1, 1, "f", "f", "scale:n offset:n", check_same},
    {"add", 2, 2, "f", "f", "", check_broadcast},
    {"sub", 2, 2, "f", "f", "", check_broadcast},
    {"mul", 2, 2, "f", "f", "", check_broadcast},
    {"div", 2, 2, "f", "f", "", check_broadcast},
    {"maximum", 2, 2, "f", "f", "", check_broadcast},
    {"minimum", 2, 2, "f", "f", "", check_broadcast},
    {"fill", 0, 0, "", "f", "value:n", check_fill},
    {"stopGradient", 1, 1, "*", "*", "", check_same},
    {"dropout", 2, 2, "fi", "f", "rate:n seed:n node:n", check_dropout},
    // Shape
    {"reshape", 1, 1, "*", "*", "", check_reshape},
    {"transpose", 1, 1, "f", "f", "perm:l", check_transpose},
    {"concat", 1, kAny, "*", "*", "axis:n", check_concat},
    {"slice", 1, 1, "*", "*", "begin:l size:l", check_slice},
    {"pad", 1, 1, "f", "f", "before:l after:l value:n", check_pad},
    {"broadcastTo", 1, 1, "f", "f", "", check_broadcast_to},
    {"gather", 2, 2, "fi", "f", "", check_gather},
    {"gatherGrad", 2, 2, "fi", "f", "", check_gather_grad},
    {"topK", 1, 1, "f", "i", "k:n", check_top_k},
    // Reductions
    {"reduceSum", 1, 1, "f", "f", "axes:l keepDims:b", check_reduce},
    {"reduceMean", 1, 1, "f", "f", "axes:l keepDims:b", check_reduce},
    {"reduceMax", 1, 1, "f", "f", "axes:l keepDims:b", check_reduce},
    {"reduceMaxGrad", 3, 3, "f", "f", "axes:l", check_reduce_max_grad},
    {"moments", 1, 1, "f", "ff", "", check_moments},
    // Linear algebra and convolution
    {"matmul", 2, 2, "f", "f", "transA:b transB:b", check_matmul},
    {"conv2d", 2, 2, "f", "f", GRAMIAN_CONV, check_conv2d},
    {"conv2dGradInput", 2, 2, "f", "f", GRAMIAN_CONV, check_conv2d_grad_input},
    {"conv2dGradFilter", 2, 2, "f", "f", GRAMIAN_CONV, check_conv2d_grad_filter},
    // Normalisation
    {"batchNorm", 5, 5, "f", "f", GRAMIAN_NORM " training:b", check_batch_norm},
    {"batchNormGradParams", 6, 6, "f", "ff", GRAMIAN_NORM, check_batch_norm_grad_params},
    {"batchNormGradInput", 8, 8, "f", "f", GRAMIAN_NORM " training:b", check_batch_norm_grad_input},
    {"rowNormalize", 1, 1, "f", "f", "eps:n", check_row_normalize},
    {"rowNormalizeGrad", 2, 2, "f", "f", "eps:n", check_row_normalize},
    // Pooling and resizing
    {"maxPool", 1, 1, "f", "fi", GRAMIAN_POOL, check_pool},
    {"maxPoolGrad", 2, 2, "fi", "f", GRAMIAN_POOL, check_pool_grad},
    {"avgPool", 1, 1, "f", "f", GRAMIAN_POOL, check_pool},
    {"avgPoolGrad", 1, 1, "f", "f", GRAMIAN_POOL, check_pool_grad},
    {"resize", 1, 1, "f", "f", "mode:s coordinates:s", check_resize},
    {"resizeGrad", 1, 1, "f", "f", "mode:s coordinates:s", check_resize},
    // Classification
    {"softmax", 1, 1, "f", "f", "", check_same},
    {"logSoftmax", 1, 1, "f", "f", "", check_same},
    {"softmaxGrad", 2, 2, "f", "f", "", check_same},
    {"logSoftmaxGrad", 2, 2, "f", "f", "", check_same},
    {"crossEntropy", 2, 3, "fif", "ff", "labelSmoothing:n", check_cross_entropy},
    {"accuracy", 2, 2, "fi", "f", "", check_accuracy},
    // Dependence objectives
    {"gram", 1, 1, "f", "f", "center:b", check_gram},
    {"gramGrad", 2, 2, "f", "f", "center:b", check_gram_grad},
    {"kernelMatrix", 1, 1, "f", "ff", "kernel:s sigma:n features:n", check_kernel_matrix},
    {"labelKernel", 1, 1, "i", "f", "", check_label_kernel},
    {"hsicNormalize", 1, 1, "f", "f", "eps:n", check_hsic_normalize},
    {"hsicObjective", 3, 5, "f", "fff", "kind:s kernel:s sigma:n features:n beta:n gamma:n power:n eps:n unbiased:b",
     check_hsic_objective},
    // Updates
    {"adam", 6, 6, "fffffi", "fff", "beta1:n beta2:n eps:n weightDecay:n decoupled:b", check_adam},
    {"sgd", 4, 4, "f", "ff", "momentum:n nesterov:b weightDecay:n", check_sgd},
    {"ema", 2, 2, "f", "f", "momentum:n scale:n", check_ema},
    {"increment", 1, 1, "i", "i", "", check_increment},
    {"schedule", 1, 1, "i", "f", "kind:s base:n warmup:n total:n every:n factor:n floor:n", check_schedule},
    // Data on the device
    {"datasetBatch", 3, 3, "uii", "fi",
     "seed:n shuffle:b count:n mean:l std:l variants:s flip:b rotate:n scaleMin:n scaleMax:n shift:n noise:n",
     check_dataset_batch},
};

const Contract* find_contract(const std::string& op) {
  for (const Contract& contract : kContracts)
    if (op == contract.op) return &contract;
  return nullptr;
}

void check_counts(const Contract& contract, const Case& node) {
  if (node.inputs() < contract.min_inputs || node.inputs() > contract.max_inputs)
    node.fail(Code::graph,
              contract.max_inputs == kAny
                  ? cat("expected ", contract.min_inputs, " inputs or more, got ", node.inputs())
              : contract.min_inputs == contract.max_inputs
                  ? cat("expected ", contract.min_inputs, " inputs, got ", node.inputs())
                  : cat("expected ", contract.min_inputs, " to ", contract.max_inputs, " inputs, got ", node.inputs()));
  if (node.outputs() != strlen(contract.outputs))
    node.fail(Code::graph, cat("expected ", strlen(contract.outputs), " outputs, got ", node.outputs()));
}

void check_dtypes(const Contract& contract, const Case& node) {
  const auto check = [&](const Tensor& tensor, char letter) {
    const DType dtype = letter == 'f'   ? DType::f32
                        : letter == 'i' ? DType::i32
                        : letter == 'u' ? DType::u8
                                        : node.in(0).dtype;
    node.expect_dtype(tensor, dtype);
  };
  const size_t letters = strlen(contract.inputs);
  for (size_t i = 0; i < node.inputs(); ++i) check(node.in(i), contract.inputs[i < letters ? i : letters - 1]);
  for (size_t i = 0; i < node.outputs(); ++i) check(node.out(i), contract.outputs[i]);
}

bool fits(const Attribute& attr, char type) {
  switch (type) {
    case 'n':
      return attr.type == Attribute::Type::number && std::isfinite(attr.number);
    case 'b':
      return attr.type == Attribute::Type::boolean;
    case 's':
      return attr.type == Attribute::Type::string;
    default:
      for (double value : attr.list)
        if (!std::isfinite(value)) return false;
      return attr.type == Attribute::Type::list;
  }
}

/** Whether a contract's list of attributes names this one. */
bool names(const Contract& contract, const std::string& key) {
  return cat(" ", contract.attrs).find(cat(" ", key, ":")) != std::string::npos;
}

void check_attributes(const Contract& contract, const Node& node, const Case& report) {
  // What a pass of the planner tells kernels, such as that more inputs follow, is not for a caller to say.
  for (const Attribute& attr : node.attrs)
    if (!names(contract, attr.key)) report.fail(Code::graph, cat("has no attribute \"", attr.key, "\""));
  for (const char* at = contract.attrs; *at;) {
    const char* colon = strchr(at, ':');
    const std::string key(at, colon);
    const Attribute* attr = node.find(key.c_str());
    if (!attr) report.fail(Code::graph, cat("needs the attribute \"", key, "\""));
    const char type = colon[1];
    if (!fits(*attr, type))
      report.fail(Code::graph, cat("attribute \"", key, "\" is a ",
                                   type == 'n'   ? "finite number"
                                   : type == 'b' ? "boolean"
                                   : type == 's' ? "string"
                                                 : "list of finite numbers"));
    at = colon + 2;
    if (*at == ' ') ++at;
  }
}

}  // namespace

double Case::number(const char* key, double low, double high) const {
  const double value = node_.number(key);
  if (!(value >= low && value <= high))
    fail(Code::shape, cat("expected ", key, " from ", low, " to ", high, ", got ", value));
  return value;
}

int64_t Case::integer(const char* key, int64_t low, int64_t high) const {
  const double value = node_.number(key);
  if (!(value >= static_cast<double>(low) && value <= static_cast<double>(high)) || value != std::trunc(value))
    fail(Code::shape, cat("expected an integer ", key, " from ", low, " to ", high, ", got ", value));
  return static_cast<int64_t>(value);
}

std::vector<int64_t> Case::integers(const char* key, int64_t low) const {
  std::vector<int64_t> values;
  for (double value : node_.list(key)) {
    if (!(value >= static_cast<double>(low) && value <= 1099511627776.0) || value != std::trunc(value))
      fail(Code::shape, cat("expected integers of ", low, " or more in ", key, ", got ", value));
    values.push_back(static_cast<int64_t>(value));
  }
  return values;
}

std::string_view Case::word(const char* key, std::initializer_list<const char*> words) const {
  const std::string& value = node_.string(key);
  std::string list;
  for (const char* candidate : words) {
    if (value == candidate) return value;
    list += cat(list.empty() ? "" : ", ", candidate);
  }
  fail(Code::graph, cat("expected ", key, " to be one of ", list, ", got \"", value, "\""));
}

void Case::fail(Code code, const std::string& message) const {
  std::string shapes;
  for (int32_t id : node_.inputs) shapes += cat(shapes.empty() ? "" : ", ", graph_.tensors[id].shape);
  shapes += " -> ";
  for (size_t i = 0; i < node_.outputs.size(); ++i)
    shapes += cat(i ? ", " : "", graph_.tensors[node_.outputs[i]].shape);
  throw Error(code, cat("[", node_.op, "] ", message, " (node \"", node_.name, "\": ", shapes, ")"));
}

void check_contract(const Graph& graph, const Node& node) {
  const Contract* contract = find_contract(node.op);
  if (!contract) throw Error(Code::graph, cat("[graph] there is no op \"", node.op, "\" (node \"", node.name, "\")"));
  const Case report(graph, node);
  check_counts(*contract, report);
  check_dtypes(*contract, report);
  check_attributes(*contract, node, report);
  contract->check(report);
}

}  // namespace gramian
