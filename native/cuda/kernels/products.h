// The host's side of product.cu and product_bf16.cu. Used by conv2d.cpp, matmul.cpp and the ops made of them.
// The rule easy to break: a plan is made from shapes in prepare, where the workspace is asked for, and the same in run.
#pragma once
#include "cuda/kernel.h"
#include "cuda/kernels/product.h"

namespace gramian::cuda {

/** y [m, n] of all groups = A B; data in run only. The rest of `params` is filled by run_product. */
struct ProductCall {
  ProductParams params = {};
  int64_t m = 0, n = 0, k = 0, groups = 1;  // n of one group
  bool transposed = false;                  // A's rows are k, its columns m
  bool finished = false;                    // params.finish is given in run
  int64_t rows_alone = 0;                   // rows that decide how sums are cut; 0: all
  int64_t run_a = 0, run_b = 0;             // elements side by side in A, and in a turned B
  bool bf16 = false;                        // factors are rounded to bfloat16, unless the product is small
  View y;
};

/** The row side of a plain matrix. */
ProductRows plain_rows(const View& matrix);
/** Columns as they lie: element (k, n) of a matrix. */
ProductColumns plain_columns(const View& matrix);
/** Of a matrix whose rows are n and whose columns k. */
ProductColumns turned_columns(const View& matrix);

/** Whether its factors are rounded to bfloat16: where that is asked for, and the product is not small. */
bool is_rounded(const ProductCall& product);
/** Bytes for the parts of sums that are cut; 0 when none is. */
int64_t product_bytes(const ProductCall& product);
/**
 * `workspace` holds product_bytes(). Rows go to y's rows in order, or as params' y_* say when y_step_h is given; such
 * sums are not cut.
 */
void run_product(const ProductCall& product, void* workspace, Queue& queue);

/** y = op(a) op(b), matrices as they lie: our own where it must be, else cuBLAS. */
struct PlainProduct {
  View a, b, y;
  bool trans_a = false, trans_b = false;
  bool per_image = false;  // of a graph for inference: a row of y does not depend on how many there are
  bool finished = false;

  ProductCall call_of(const Call& call) const;
  /** cuBLAS neither rounds factors nor finishes sums, and chooses by the number of rows. */
  bool by_blas(const Call& call) const;
  /** Fills uses_blas; returns the bytes of `workspace`. */
  int64_t prepare(Call& call) const;
  void run(const Call& call, void* workspace, Queue& queue, const Norm& finish = {}) const;
};

}  // namespace gramian::cuda
