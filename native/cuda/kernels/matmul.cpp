// The `matmul` op: y[M,N] = op(a) op(b) through cuBLAS, which takes pitches as they are.
// The rule easy to break: a transposed `a` is [K,M], so K is its rows.
#include "cuda/kernel.h"

namespace gramian::cuda {
namespace {

void prepare_matmul(Call& call) { call.uses_blas = true; }

void run_matmul(const Call& call, Queue& queue) {
  const View &a = call.in[0], &b = call.in[1], &y = call.out[0];
  Product product;
  product.trans_a = call.number("transA") != 0;
  product.trans_b = call.number("transB") != 0;
  product.m = y.rows;
  product.n = y.cols;
  product.k = product.trans_a ? a.rows : a.cols;
  product.a = a.matrix();
  product.b = b.matrix();
  product.y = y.matrix();
  queue.blas().product(product);
}

const Kernel kernels[] = {{"matmul", prepare_matmul, run_matmul}};

}  // namespace

extern const KernelList kMatmulKernels;
const KernelList kMatmulKernels = list_of(kernels);

}  // namespace gramian::cuda
