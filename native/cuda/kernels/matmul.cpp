// The `matmul` op: y[M,N] = op(a) op(b), by products.h. The rule easy to break: in a graph for inference a row of `a`
// is an image, unless `a` is transposed.
#include "cuda/kernels/norms.h"
#include "cuda/kernels/products.h"

namespace gramian::cuda {
namespace {

PlainProduct product_of(const Call& call) {
  PlainProduct product = {call.in[0], call.in[1], call.out[0]};
  product.trans_a = call.number("transA") != 0, product.trans_b = call.number("transB") != 0;
  product.per_image = call.number("perImage") != 0;
  product.finished = call.find("outEps") != nullptr;
  return product;
}

void prepare_matmul(Call& call) {
  call.workspace_bytes = product_of(call).prepare(call);
  call.variant = call.uses_blas ? "cublas" : "blocked";
}

void run_matmul(const Call& call, Queue& queue) {
  product_of(call).run(call, call.workspace, queue, norm_of(call, 2, "out"));
}

const Kernel kernels[] = {{"matmul", prepare_matmul, run_matmul}};

}  // namespace

extern const KernelList kMatmulKernels;
const KernelList kMatmulKernels = list_of(kernels);

}  // namespace gramian::cuda
