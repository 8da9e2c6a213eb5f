// The `matmul` kernel: y[M,N] = op(a) op(b), either operand transposed. Called through table.cpp's list.
// The work is gemm.h's; here only the four combinations are told apart, and what was joined is handed on.
// The rule easy to break: a transposed `a` is read as it lies ([K,M]), so prepare and run must agree on the flag.
#include "cpu/kernels/finish.h"
#include "cpu/kernels/gemm.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

struct MatmulParams {
  GemmPlan plan;
  bool trans_a, trans_b;
};

void matmul_prepare(KernelCall* call) {
  MatmulParams* params = params_of<MatmulParams>(call);
  params->trans_a = attr(call, "transA") != 0;
  params->trans_b = attr(call, "transB") != 0;
  const View &a = call->in[0], &y = call->out[0];
  const int64_t k = params->trans_a ? a.rows : a.cols;
  // With perImage a row of `a` is an image.
  const bool row_alone = attr(call, "perImage") != 0 && !params->trans_a;
  params->plan = plan_gemm(call->precision, 1, y.rows, y.cols, k, params->trans_a, row_alone ? 1 : y.rows);
  if (!params->trans_a && !params->trans_b) params->plan = thin_if_few_rows(params->plan);
  call->workspace_bytes = params->plan.workspace_bytes + finish_bytes(call);
  const bool cut = params->plan.k_chunks > 1;
  call->variant = params->plan.thin ? (cut ? "thinSplitK" : "thin") : cut ? "splitK" : "blocked";
}

void matmul_run(const KernelCall* call) {
  const MatmulParams* params = params_of<MatmulParams>(call);
  const Matrix a = matrix_of(call->in[0]), b = matrix_of(call->in[1]), y = matrix_of(call->out[0]);
  const TransposedMatrix bt{b.data, b.pitch, 0};
  const GemmPlan& plan = params->plan;
  const Ending ending = ending_of(call, 2, static_cast<char*>(call->workspace) + plan.workspace_bytes);
  const Finish finish = finish_of(ending);
  if (params->trans_a && params->trans_b) {
    run_gemm<true>(plan, call->workspace, call->parallel, a, bt, y, finish);
  } else if (params->trans_a) {
    run_gemm<true>(plan, call->workspace, call->parallel, a, b, y, finish);
  } else if (params->trans_b) {
    run_gemm<false>(plan, call->workspace, call->parallel, a, bt, y, finish);
  } else {
    run_gemm<false>(plan, call->workspace, call->parallel, a, b, y, finish);
  }
}

constexpr Kernel kKernels[] = {{"matmul", matmul_prepare, matmul_run}};

}  // namespace

extern const KernelList kMatmulKernels;
const KernelList kMatmulKernels = {kKernels, 1};

}  // namespace gramian::cpu::GRAMIAN_ISA
