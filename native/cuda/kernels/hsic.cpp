// Kernel matrices and the dependence objectives built on them: HSIC (biased and unbiased), normalised HSIC, CKA, pHSIC.
// The kernels are hsic.cu's and hsic_inverse.cu's. Everything is O(m^2) in the batch m except nhsic's inverse.
// The rule easy to break: rows, statistics and sums are made in this order, each launch reading what the one before
// wrote.
#include "cuda/kernels/hsic.h"

#include <cmath>
#include <optional>

#include "cuda/kernel.h"

namespace gramian::cuda {
namespace {

constexpr unsigned kBlock = 128;
constexpr int64_t kBand = 32, kSide = 16;

uint32_t u32(int64_t value) { return static_cast<uint32_t>(value); }
HsicMatrix matrix_of(const View& view) { return {view.floats(), u32(view.pitch)}; }

/** Parts of a workspace, one after the other; without memory it only counts. */
class Memory {
 public:
  explicit Memory(void* at) : at_(static_cast<char*>(at)) {}
  template <typename T>
  T* take(int64_t count) {
    T* taken = at_ ? reinterpret_cast<T*>(at_ + bytes_) : nullptr;
    bytes_ += ceil_div(count * int64_t{sizeof(T)}, 256) * 256;
    return taken;
  }
  int64_t bytes() const { return bytes_; }

 private:
  char* at_;
  int64_t bytes_ = 0;
};

bool is_gaussian(const Call& call) {
  const std::string kernel = call.string("kernel");
  if (kernel != "gaussian" && kernel != "linear")
    throw Error(Code::shape, cat("[", call.op, "] the kernel must be gaussian or linear"));
  return kernel == "gaussian";
}

bool by_median(const Call& call) { return is_gaussian(call) && !(call.number("sigma") > 0); }

void launch_rows(const HsicParams& params, Queue& queue) {
  queue.launch("hsic", "hsicRows", {params.m}, kBlock, params);
}

/** How the kernel of params.of[kStatG] follows from G: a fixed bandwidth, or one from the median of the distances. */
struct Bandwidth {
  float* list = nullptr;
  float* median = nullptr;

  Bandwidth(const Call& call, int64_t m, Memory& memory) {
    if (!by_median(call)) return;
    list = memory.take<float>(m * (m - 1) / 2);
    median = memory.take<float>(1);
  }
  /** Makes the list's median, if one is wanted; `params` makes the list. */
  void enqueue_median(const HsicParams& params, Queue& queue) const {
    const int64_t m = params.m, count = m * (m - 1) / 2;
    if (!list) return;
    if (count == 0) return queue.zero(median, sizeof(float));
    launch_rows(params, queue);
    queue.launch("hsic", "hsicMedian", {1}, 1024, HsicMedianParams{list, median, u32(count), u32((count - 1) / 2)});
  }
  void fill(const Call& call, HsicParams& params) const {
    const double sigma = call.number("sigma");
    params.features = call.number("features", 1);
    params.g = 2 * sigma * sigma * params.features;
    params.median = median;
  }
};

// ---------------------------------------------------------------- kernelMatrix, labelKernel

void prepare_kernel_matrix(Call& call) {
  Memory memory(nullptr);
  const Bandwidth bandwidth(call, call.in[0].rows, memory);
  call.workspace_bytes = memory.bytes();
}

// G[m,m] -> E[m,m], sigma[1]
void run_kernel_matrix(const Call& call, Queue& queue) {
  const View &g = call.in[0], &e = call.out[0], &sigma = call.out[1];
  if (!is_gaussian(call)) {
    enqueue_copy(g, e, queue);
    return queue.zero(sigma.data, sizeof(float));
  }
  Memory memory(call.workspace);
  const Bandwidth bandwidth(call, g.rows, memory);
  HsicParams params = {};
  params.m = u32(g.rows);
  params.of[kStatG] = matrix_of(g);
  params.list = bandwidth.list;
  bandwidth.enqueue_median(params, queue);
  params.list = nullptr;
  bandwidth.fill(call, params);
  params.kernel = e.floats();
  params.pitch_kernel = u32(e.pitch);
  params.sigma = sigma.floats();
  launch_rows(params, queue);
}

void run_label_kernel(const Call& call, Queue& queue) {
  const View& y = call.out[0];
  queue.launch("hsic", "labelKernel", {y.rows}, 256,
               LabelKernelParams{call.in[0].ints(), y.floats(), u32(y.rows), u32(y.pitch)});
}

// ---------------------------------------------------------------- the inverse

/** What (HKH + cI)^-1 needs; after enqueue() it is in `from`. */
struct Inverse {
  InverseParams params = {};

  Inverse(int64_t m, double ridge, Memory& memory) {
    const int64_t size = ceil_div(m, kBand) * kBand;
    params.m = u32(m), params.size = u32(size);
    params.ridge = ridge;
    params.from = memory.take<double>(size * size);
    params.to = memory.take<double>(size * size);
    params.band = memory.take<double>(kBand * size);
    params.floor = memory.take<double>(1);
  }
  void enqueue(HsicMatrix k, const double* statistics, Queue& queue) {
    params.k = k;
    params.statistics = statistics;
    const int64_t size = params.size;
    queue.launch("hsic_inverse", "inverseBegin", {size}, 256, params);
    for (int64_t pivot = 0; pivot < size; pivot += kBand) {
      params.pivot = u32(pivot);
      queue.launch("hsic_inverse", "inversePivot", {size / kBand}, 256, params);
      queue.launch("hsic_inverse", "inverseUpdate", {size / kSide, size / kSide}, 256, params);
      std::swap(params.from, params.to);
    }
  }
};

double ridge_of(const Call& call, int64_t m) { return call.number("eps", 1e-5) * static_cast<double>(m); }

void prepare_normalize(Call& call) {
  const int64_t m = call.in[0].rows;
  Memory memory(nullptr);
  memory.take<double>(kStatCount * kStatistics * m);
  const Inverse inverse(m, 0, memory);
  call.workspace_bytes = memory.bytes();
}

// R = Kc (Kc + cI)^-1 = I - c (Kc + cI)^-1, c = eps m.
void run_normalize(const Call& call, Queue& queue) {
  const View &e = call.in[0], &r = call.out[0];
  Memory memory(call.workspace);
  HsicParams rows = {};
  rows.m = u32(e.rows);
  rows.of[kStatK] = matrix_of(e);
  rows.statistics = memory.take<double>(kStatCount * kStatistics * e.rows);
  rows.wanted = 1u << kStatK;
  Inverse inverse(e.rows, ridge_of(call, e.rows), memory);
  launch_rows(rows, queue);
  inverse.enqueue(rows.of[kStatK], rows.statistics, queue);
  inverse.params.y = r.floats();
  inverse.params.pitch_y = u32(r.pitch);
  queue.launch("hsic_inverse", "inverseEnd", {e.rows}, kBlock, inverse.params);
}

// ---------------------------------------------------------------- the objective

HsicKind kind_of(const Call& call) {
  const std::string kind = call.string("kind");
  if (kind == "hsic") return call.number("unbiased") != 0 ? HsicKind::unbiased : HsicKind::hsic;
  if (kind == "nhsic") return HsicKind::nhsic;
  if (kind == "cka") return HsicKind::cka;
  if (kind == "phsic") return HsicKind::phsic;
  throw Error(Code::shape, "[hsicObjective] kind must be hsic, nhsic, cka or phsic");
}

/** Of the terms of hsic, unbiased or not, and of phsic. */
double scale_of(const Call& call, HsicKind kind, double m) {
  if (kind == HsicKind::unbiased) return m >= 4 ? 1 / (m * (m - 3)) : 0;
  return 1 / std::pow(m - 1, kind == HsicKind::phsic ? 2 : call.number("power", 1));
}

struct ObjectiveMemory {
  Memory memory;
  double *statistics, *sums;
  Bandwidth bandwidth;
  float* kernel = nullptr;
  // nhsic only.
  std::optional<Inverse> inverse;
  double *product = nullptr, *row_means = nullptr, *column_means = nullptr;

  ObjectiveMemory(const Call& call, void* at)
      : memory(at),
        statistics(memory.take<double>(kStatCount * kStatistics * call.in[0].rows)),
        sums(memory.take<double>(kSumPitch * call.in[0].rows)),
        bandwidth(call, call.in[0].rows, memory) {
    const int64_t m = call.in[0].rows;
    if (is_gaussian(call)) kernel = memory.take<float>(m * m);
    if (kind_of(call) != HsicKind::nhsic) return;
    inverse.emplace(m, ridge_of(call, m), memory);
    product = memory.take<double>(int64_t{inverse->params.size} * inverse->params.size);
    row_means = memory.take<double>(m), column_means = memory.take<double>(m);
  }
};

void prepare_objective(Call& call) {
  if (call.in[0].rows < 2) throw Error(Code::shape, "[hsicObjective] needs a batch of at least 2");
  if (kind_of(call) == HsicKind::nhsic && call.in.size() < 5)
    throw Error(Code::shape, "[hsicObjective] of kind nhsic needs Rx and Ry");
  call.workspace_bytes = ObjectiveMemory(call, nullptr).memory.bytes();
}

/** (Kc + ridge I)^-1, and M (Rx - beta Ry) M with its means. */
void enqueue_normal(HsicParams& params, ObjectiveMemory& memory, Queue& queue) {
  Inverse& inverse = *memory.inverse;
  inverse.enqueue(params.of[kStatK], params.statistics, queue);
  params.inverse = inverse.params.from;
  params.pitch_inverse = inverse.params.size;
  params.row_means = memory.row_means, params.column_means = memory.column_means;
  DoubleProductParams product = {};
  product.m = params.m, product.size = inverse.params.size;
  product.rx = params.rx, product.ry = params.ry;
  product.beta = params.beta;
  product.a = params.inverse, product.y = inverse.params.to;
  const int64_t tiles = ceil_div(params.m, kSide);
  queue.launch("hsic_inverse", "doubleProduct", {tiles, tiles}, 256, product);
  product.a = inverse.params.to, product.b = params.inverse, product.y = memory.product;
  product.row_means = memory.row_means, product.column_means = memory.column_means;
  queue.launch("hsic_inverse", "doubleProduct", {tiles, tiles}, 256, product);
  queue.launch("hsic_inverse", "doubleMeans", {ceil_div(params.m, 32), 2}, kBlock, product);
  params.product = product.y;
}

// G, Ex, Ey (, Rx, Ry) -> loss[1], report[8], dG[m,m]
void run_objective(const Call& call, Queue& queue) {
  const View &g = call.in[0], &gradient = call.out[2];
  const auto m = static_cast<double>(g.rows);
  ObjectiveMemory memory(call, call.workspace);
  HsicParams params = {};
  params.m = u32(g.rows);
  params.kind = kind_of(call);
  params.gaussian = is_gaussian(call);
  params.of[kStatK] = params.of[kStatG] = matrix_of(g);
  params.of[kStatX] = matrix_of(call.in[1]), params.of[kStatY] = matrix_of(call.in[2]);
  params.statistics = memory.statistics, params.sums = memory.sums;
  params.beta = call.number("beta"), params.gamma = call.number("gamma");
  params.scale = scale_of(call, params.kind, m);
  params.unbiased = m >= 4 ? 1 / (m * (m - 3)) : 0;
  params.ridge = ridge_of(call, g.rows);
  params.loss = call.out[0].floats(), params.report = call.out[1].floats();
  params.gradient = gradient.floats(), params.pitch_gradient = u32(gradient.pitch);
  params.wanted = (1u << kStatCount) - 1;
  memory.bandwidth.fill(call, params);
  HsicParams rows = params;
  if (params.gaussian) {
    params.of[kStatK] = rows.of[kStatK] = {memory.kernel, params.m};
    HsicParams list = rows;
    list.wanted = 0;
    list.list = memory.bandwidth.list;
    memory.bandwidth.enqueue_median(list, queue);
    rows.kernel = memory.kernel, rows.pitch_kernel = params.m;
  }
  launch_rows(rows, queue);
  if (params.kind == HsicKind::nhsic) {
    params.rx = matrix_of(call.in[3]), params.ry = matrix_of(call.in[4]);
    enqueue_normal(params, memory, queue);
  }
  queue.launch("hsic", "hsicSums", {params.m}, kBlock, params);
  queue.launch("hsic", "hsicGradient", {params.m}, kBlock, params);
}

const Kernel kernels[] = {
    {"kernelMatrix", prepare_kernel_matrix, run_kernel_matrix},
    {"labelKernel", prepare_nothing, run_label_kernel},
    {"hsicNormalize", prepare_normalize, run_normalize},
    {"hsicObjective", prepare_objective, run_objective},
};

}  // namespace

extern const KernelList kHsicKernels;
const KernelList kHsicKernels = list_of(kernels);

}  // namespace gramian::cuda
