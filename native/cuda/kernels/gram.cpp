// `gram` (G = Z Z', or Zc Zc' with the column means removed) and `gramGrad`, by kernels of our own; gramGrad of more
// than 128 rows takes its product from cuBLAS. cuBLAS's ssyrk gives a batch of 128 to a single block: 293 us for 2304
// columns on an H200. The rule easy to break: how columns are cut follows from shapes alone.
#include "cuda/kernels/gram.h"

#include "cuda/kernels/spans.h"

namespace gramian::cuda {
namespace {

constexpr unsigned kBlock = 256;
constexpr int64_t kTile = 32, kRowsOfBlock = 8;
constexpr int64_t kColumns = 32;    // of a step of gram.cu's products
constexpr int64_t kMostSlabs = 96;  // enough for any device; each leaves a part of g to be added
constexpr int64_t kFewRows = 128;   // of gramGrad's own product

uint32_t u32(int64_t value) { return static_cast<uint32_t>(value); }
int64_t round4(int64_t value) { return ceil_div(value, 4) * 4; }
int64_t aligned(int64_t bytes) { return ceil_div(bytes, 256) * 256; }
bool centred(const Call& call) { return call.number("center") != 0; }

/** Enqueues z less its column means, and returns it, with rows at multiples of 16 bytes. */
Matrix enqueue_centre(const View& z, void* memory, Queue& queue) {
  const Matrix y{static_cast<float*>(memory), round4(z.cols)};
  const bool wide = aligned16(z) && z.cols % 4 == 0;
  CentreParams params = {};
  params.z = z.floats();
  params.y = y.data;
  params.rows = u32(z.rows);
  params.vectors = u32(z.cols / (wide ? 4 : 1));
  params.pitch_z = u32(z.pitch);
  params.pitch_y = u32(y.pitch);
  queue.launch("gram", wide ? "centre_4" : "centre_1", {ceil_div(params.vectors, 32)}, kBlock, params);
  return y;
}

int64_t centre_bytes(const View& z) { return z.rows * round4(z.cols) * int64_t{sizeof(float)}; }

/** How gram is cut: panels of rows, and slabs of columns whose parts are added in their order. By shapes alone. */
struct GramCut {
  int64_t panel, panels, slab, slabs;

  explicit GramCut(const View& z) {
    panel = z.rows <= 64 ? 64 : 128;
    panels = ceil_div(z.rows, panel);
    const int64_t most = ceil_div(kMostSlabs, panels * (panels + 1) / 2);
    slab = ceil_div(ceil_div(z.cols, most), kColumns) * kColumns;
    slabs = ceil_div(z.cols, slab);
  }
  /** Whether column means have a launch of their own. */
  bool centred_before(const Call& call) const { return centred(call) && panels > 1; }
  int64_t parts_bytes(int64_t m) const { return slabs > 1 ? aligned(slabs * m * m * int64_t{sizeof(float)}) : 0; }
};

void prepare_gram(Call& call) {
  const View& z = call.in[0];
  const GramCut cut(z);
  call.variant = centred(call) ? "centred" : "plain";
  call.workspace_bytes = cut.parts_bytes(z.rows) + (cut.centred_before(call) ? centre_bytes(z) : 0);
}

void run_gram(const Call& call, Queue& queue) {
  const View &z = call.in[0], &g = call.out[0];
  const GramCut cut(z);
  const bool before = cut.centred_before(call), parts = cut.slabs > 1;
  char* const workspace = static_cast<char*>(call.workspace);
  const Matrix x = before ? enqueue_centre(z, workspace + cut.parts_bytes(z.rows), queue) : z.matrix();
  const bool wide = z.cols % 4 == 0 && (before || aligned16(z));
  GramParams params = {};
  params.z = x.data;
  params.y = parts ? reinterpret_cast<float*>(workspace) : g.floats();
  params.m = u32(z.rows);
  params.cols = u32(z.cols);
  params.slab = u32(cut.slab);
  params.pitch_z = u32(x.pitch);
  params.pitch_y = u32(parts ? z.rows : g.pitch);
  params.part = u32(z.rows * z.rows);
  params.centred = centred(call) && !before;
  params.wide_y = z.rows % 4 == 0 && (parts || aligned16(g));
  const char* const kernel = cut.panel == 64 ? (wide ? "gram64_4" : "gram64_1") : (wide ? "gram128_4" : "gram128_1");
  queue.launch("gram", kernel, {cut.slabs, cut.panels, cut.panels}, kBlock, params);
  if (parts) enqueue_sum(params.y, cut.slabs, g, queue);
}

/** The workspace of gramGrad: the factor, the means of its rows, z centred. */
struct GradMemory {
  int64_t pitch, means_at, z_at;
};
GradMemory grad_memory(int64_t m) {
  GradMemory memory = {round4(m), 0, 0};
  memory.means_at = aligned(m * memory.pitch * int64_t{sizeof(float)});
  memory.z_at = memory.means_at + aligned(m * int64_t{sizeof(double)});
  return memory;
}

void prepare_gram_grad(Call& call) {
  const View& z = call.in[1];
  call.uses_blas = z.rows > kFewRows;
  call.variant = centred(call) ? "centred" : "plain";
  call.workspace_bytes = grad_memory(z.rows).z_at + (centred(call) && call.uses_blas ? centre_bytes(z) : 0);
}

/** dz = factor z for at most kFewRows rows. */
void enqueue_few(const Call& call, const SquareParams& factor, Queue& queue) {
  const View &z = call.in[1], &dz = call.out[0];
  GramGradParams params = {};
  params.factor = factor.factor;
  params.z = z.floats();
  params.dz = dz.floats();
  params.m = factor.m;
  params.cols = u32(z.cols);
  params.pitch_factor = factor.pitch_factor;
  params.pitch_z = u32(z.pitch);
  params.pitch_dz = u32(dz.pitch);
  params.centred = centred(call);
  const bool wide = aligned16(z) && aligned16(dz) && z.cols % 4 == 0;
  queue.launch("gram", wide ? "gramGrad_4" : "gramGrad_1", {ceil_div(z.cols, kColumns)}, kBlock, params);
}

void run_gram_grad(const Call& call, Queue& queue) {
  const View &g = call.in[0], &z = call.in[1], &dz = call.out[0];
  const int64_t m = z.rows;
  const GradMemory memory = grad_memory(m);
  char* const workspace = static_cast<char*>(call.workspace);
  SquareParams params = {};
  params.g = g.floats();
  params.factor = reinterpret_cast<float*>(workspace);
  params.means = centred(call) ? reinterpret_cast<double*>(workspace + memory.means_at) : nullptr;
  params.m = u32(m);
  params.pitch_g = u32(g.pitch);
  params.pitch_factor = u32(memory.pitch);
  queue.launch("gram", "factorRows", {ceil_div(m, kTile)}, kBlock, params);
  if (centred(call)) queue.launch("gram", "factorCentre", {ceil_div(m, kRowsOfBlock)}, kBlock, params);
  // The centred factor annihilates z's column means, which are taken off all the same: left in, they would cost digits.
  if (m <= kFewRows) return enqueue_few(call, params, queue);
  Product product;
  product.m = product.k = m, product.n = z.cols;
  product.a = {params.factor, memory.pitch};
  product.b = centred(call) ? enqueue_centre(z, workspace + memory.z_at, queue) : z.matrix();
  product.y = dz.matrix();
  queue.blas().product(product);
}

const Kernel kernels[] = {{"gram", prepare_gram, run_gram}, {"gramGrad", prepare_gram_grad, run_gram_grad}};

}  // namespace

extern const KernelList kGramKernels;
const KernelList kGramKernels = list_of(kernels);

}  // namespace gramian::cuda
