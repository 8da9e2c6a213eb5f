// The host's side of product.cu. Used by conv2d.cpp, matmul.cpp and the ops made of them.
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
  View y;
};

/** The row side of a plain matrix. */
ProductRows plain_rows(const View& matrix);
/** Columns as they lie: element (k, n) of a matrix. */
ProductColumns plain_columns(const View& matrix);
/** Of a matrix whose rows are n and whose columns k. */
ProductColumns turned_columns(const View& matrix);

/** Bytes for the parts of sums that are cut; 0 when none is. */
int64_t product_bytes(const ProductCall& product);
/**
 * `workspace` holds product_bytes(). Rows go to y's rows in order, or as params' y_* say when y_step_h is given; such
 * sums are not cut.
 */
void run_product(const ProductCall& product, void* workspace, Queue& queue);

}  // namespace gramian::cuda
