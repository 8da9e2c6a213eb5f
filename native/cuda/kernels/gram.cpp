// `gram` (G = Z Z', or Zc Zc' with the column means removed) and `gramGrad`: products by cuBLAS, the rest by gram.cu.
// The rule easy to break: cuBLAS makes one triangle of G and the other is its mirror image, so G is exactly symmetric.
#include "cuda/kernels/gram.h"

#include "cuda/kernels/spans.h"

namespace gramian::cuda {
namespace {

constexpr unsigned kBlock = 256;
constexpr int64_t kTile = 32, kRowsOfBlock = 8;

uint32_t u32(int64_t value) { return static_cast<uint32_t>(value); }
int64_t round4(int64_t value) { return ceil_div(value, 4) * 4; }
int64_t aligned(int64_t bytes) { return ceil_div(bytes, 256) * 256; }
bool centred(const Call& call) { return call.number("center") != 0; }

/** Enqueues z less its column means, and returns it, with rows at multiples of 16 bytes. */
Matrix enqueue_centre(const View& z, void* memory, Queue& queue) {
  const Matrix y{static_cast<float*>(memory), round4(z.cols), 0};
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

void prepare_gram(Call& call) {
  call.uses_blas = true;
  call.variant = centred(call) ? "centred" : "plain";
  if (centred(call)) call.workspace_bytes = centre_bytes(call.in[0]);
}

void run_gram(const Call& call, Queue& queue) {
  const View &z = call.in[0], &g = call.out[0];
  const Matrix x = centred(call) ? enqueue_centre(z, call.workspace, queue) : z.matrix();
  queue.blas().gram(x, g.matrix(), z.rows, z.cols, false);
  SquareParams params = {};
  params.g = params.factor = g.floats();
  params.m = u32(g.rows);
  params.pitch_g = params.pitch_factor = u32(g.pitch);
  const int64_t tiles = ceil_div(g.rows, kTile);
  queue.launch("gram", "mirror", {tiles, tiles}, kBlock, params);
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
  call.uses_blas = true;
  call.variant = centred(call) ? "centred" : "plain";
  call.workspace_bytes = grad_memory(z.rows).z_at + (centred(call) ? centre_bytes(z) : 0);
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
  Product product;
  product.m = product.k = m, product.n = z.cols;
  product.a = {params.factor, memory.pitch, 0};
  product.b = z.matrix(), product.y = dz.matrix();
  if (centred(call)) {
    queue.launch("gram", "factorCentre", {ceil_div(m, kRowsOfBlock)}, kBlock, params);
    // The centred factor annihilates what is taken off here; left in, it would cost digits.
    product.b = enqueue_centre(z, workspace + memory.z_at, queue);
  }
  queue.blas().product(product);
}

const Kernel kernels[] = {{"gram", prepare_gram, run_gram}, {"gramGrad", prepare_gram_grad, run_gram_grad}};

}  // namespace

extern const KernelList kGramKernels;
const KernelList kGramKernels = list_of(kernels);

}  // namespace gramian::cuda
