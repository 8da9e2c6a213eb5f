// The `matmul` op: y[M,N] = op(a) op(b), through cuBLAS. A product that ends in a batchNorm, or one of whose rows must
// not depend on how many there are, is product.cu's. The rule easy to break: a transposed `a` is [K,M], so K is its
// rows.
#include "cuda/kernels/norms.h"
#include "cuda/kernels/products.h"

namespace gramian::cuda {
namespace {

bool ours(const Call& call) { return call.number("perImage") != 0 || call.find("outEps"); }

ProductCall product_of(const Call& call) {
  const View &a = call.in[0], &b = call.in[1], &y = call.out[0];
  ProductCall product;
  product.transposed = call.number("transA") != 0;
  product.params.a = plain_rows(a);
  product.params.b = call.number("transB") != 0 ? turned_columns(b) : plain_columns(b);
  product.m = y.rows, product.n = y.cols, product.k = product.transposed ? a.rows : a.cols;
  product.run_a = a.cols, product.run_b = b.cols;
  // A row of `a` is an image.
  product.rows_alone = call.number("perImage") != 0 && !product.transposed ? 1 : 0;
  product.finished = call.find("outEps") != nullptr;
  product.y = y;
  return product;
}

void prepare_matmul(Call& call) {
  call.uses_blas = !ours(call);
  call.variant = call.uses_blas ? "cublas" : "blocked";
  if (!call.uses_blas) call.workspace_bytes = product_bytes(product_of(call));
}

void run_matmul(const Call& call, Queue& queue) {
  if (ours(call)) {
    ProductCall product = product_of(call);
    product.params.finish = norm_of(call, 2, "out");
    return run_product(product, call.workspace, queue);
  }
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
