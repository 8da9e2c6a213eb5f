// The dependence objectives on m x m matrices: kernel matrices, nhsic's normalised kernel and the objective with its
// gradient (docs/ops.md, docs/method.md). m is a batch, so everything here is O(m^2), or O(m^3) for nhsic, beside
// products of m x m x d elsewhere; sums and inverses are float64.
// The rule easy to break: E is the kernel up to a constant (expm1 of the exponent). Centring removes the constant, but
// the gradient needs the kernel itself, K = 1 + E for a Gaussian.
#include "cpu/kernels/spans.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

constexpr double kTinyNorm = 1e-12;

const float* matrix_row(const View& v, int64_t i) { return floats(v) + i * v.pitch; }
float* matrix_row_out(const View& v, int64_t i) { return floats_out(v) + i * v.pitch; }

// ---------------------------------------------------------------- kernel matrices

// k-th smallest of values[0..n), which is reordered (Hoare's selection).
double select(double* values, int64_t n, int64_t k) {
  int64_t low = 0, high = n - 1;
  while (low < high) {
    const double pivot = values[low + (high - low) / 2];
    int64_t i = low, j = high;
    while (i <= j) {
      while (values[i] < pivot) ++i;
      while (values[j] > pivot) --j;
      if (i <= j) {
        const double swapped = values[i];
        values[i++] = values[j];
        values[j--] = swapped;
      }
    }
    if (k <= j)
      high = j;
    else if (k >= i)
      low = i;
    else
      break;
  }
  return values[k];
}

double squared_distance(const View& gram, int64_t i, int64_t j) {
  const double ii = (double)matrix_row(gram, i)[i], jj = (double)matrix_row(gram, j)[j];
  const double d = ii + jj - 2 * (double)matrix_row(gram, i)[j];
  return d > 0 || d != d ? d : 0;  // a NaN stays one
}

struct Width {
  double g;      // the exponent is -D/g
  double sigma;  // as reported
};

// g = 2 sigma^2 features, or twice the lower median distance; scratch holds m(m-1)/2 doubles.
Width kernel_width(const View& gram, double sigma, double features, double* scratch) {
  if (sigma > 0) return {2 * sigma * sigma * features, sigma};
  const int64_t m = gram.rows;
  int64_t count = 0;
  bool numbers = true;
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = i + 1; j < m; ++j) {
      scratch[count] = squared_distance(gram, i, j);
      numbers = numbers && scratch[count] == scratch[count];
      ++count;
    }
  if (!numbers) return {__builtin_nan(""), __builtin_nan("")};
  const double g = count == 0 ? 0 : 2 * select(scratch, count, (count - 1) / 2);
  return {g, __builtin_sqrt(g / (2 * features))};
}

// E of a Gram matrix, as float64 [m,m]. g = 0 (all rows equal) gives 0.
void kernel_of(const View& gram, bool gaussian, double g, double* E) {
  const int64_t m = gram.rows;
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < m; ++j) {
      if (!gaussian)
        E[i * m + j] = (double)matrix_row(gram, i)[j];
      else if (i == j || g == 0)
        E[i * m + j] = g == g ? 0 : g;
      else
        E[i * m + j] = j < i ? E[j * m + i] : __builtin_expm1(-squared_distance(gram, i, j) / g);
    }
}

int64_t pairs(int64_t m) { return m * (m - 1) / 2 + 1; }

void prepare_kernel_matrix(KernelCall* call) {
  const int64_t m = call->in[0].rows;
  call->workspace_bytes = (pairs(m) + m * m) * (int64_t)sizeof(double);
}

bool is_gaussian(const KernelCall* call) { return strcmp(attr_string(call, "kernel", "gaussian"), "gaussian") == 0; }

void run_kernel_matrix(const KernelCall* call) {
  const View& gram = call->in[0];
  const int64_t m = gram.rows;
  double* scratch = static_cast<double*>(call->workspace);
  double* E = scratch + pairs(m);
  const bool gaussian = is_gaussian(call);
  Width width = {0, 0};
  if (gaussian) width = kernel_width(gram, attr(call, "sigma"), attr(call, "features", 1), scratch);
  kernel_of(gram, gaussian, width.g, E);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < m; ++j) matrix_row_out(call->out[0], i)[j] = (float)E[i * m + j];
  floats_out(call->out[1])[0] = (float)width.sigma;
}

void run_label_kernel(const KernelCall* call) {
  const int32_t* labels = ints(call->in[0]);
  const int64_t m = call->out[0].rows;
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < m; ++j) matrix_row_out(call->out[0], i)[j] = labels[i] == labels[j] ? 1.0f : 0.0f;
}

// ---------------------------------------------------------------- m x m algebra in float64

// Eight running sums, added in a fixed order: as exact as one, and free of its chain of dependent additions.
double dot(const double* A, const double* B, int64_t count) {
  double lane[8] = {};
  int64_t i = 0;
  for (; i + 8 <= count; i += 8)
    for (int k = 0; k < 8; ++k) lane[k] += A[i + k] * B[i + k];
  double sum = 0;
  for (; i < count; ++i) sum += A[i] * B[i];
  for (int k = 0; k < 8; ++k) sum += lane[k];
  return sum;
}

double sum_of(const double* A, int64_t count) {
  double lane[8] = {};
  int64_t i = 0;
  for (; i + 8 <= count; i += 8)
    for (int k = 0; k < 8; ++k) lane[k] += A[i + k];
  double sum = 0;
  for (; i < count; ++i) sum += A[i];
  for (int k = 0; k < 8; ++k) sum += lane[k];
  return sum;
}

// HAH in place: rows, columns and total mean removed. `mean` holds m doubles.
void centre(double* A, int64_t m, double* mean) {
  for (int64_t i = 0; i < m; ++i) {
    mean[i] = sum_of(A + i * m, m) / (double)m;
    for (int64_t j = 0; j < m; ++j) A[i * m + j] -= mean[i];
  }
  for (int64_t j = 0; j < m; ++j) mean[j] = 0;
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < m; ++j) mean[j] += A[i * m + j];
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < m; ++j) A[i * m + j] -= mean[j] / (double)m;
}

// C = A B, all m x m.
void multiply(const Parallel& parallel, const double* A, const double* B, double* C, int64_t m) {
  parallel_for(parallel, m, [&](int64_t i) {
    for (int64_t j = 0; j < m; ++j) C[i * m + j] = 0;
    for (int64_t k = 0; k < m; ++k)
      for (int64_t j = 0; j < m; ++j) C[i * m + j] += A[i * m + k] * B[k * m + j];
  });
}

// M = A^-1 for a symmetric positive definite A, by Cholesky; L holds the factor. False when A is not positive.
bool invert(const Parallel& parallel, const double* A, double* L, double* M, int64_t m) {
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j <= i; ++j) {
      const double rest = A[i * m + j] - dot(L + i * m, L + j * m, j);
      if (i == j && !(rest > 0)) return false;
      L[i * m + j] = i == j ? __builtin_sqrt(rest) : rest / L[j * m + j];
    }
  // Column c of the inverse: L y = e_c, L' x = y. M is symmetric, so the column is kept as a row.
  parallel_for(parallel, m, [&](int64_t c) {
    double* x = M + c * m;
    for (int64_t i = 0; i < m; ++i) x[i] = ((i == c ? 1.0 : 0.0) - dot(L + i * m, x, i)) / L[i * m + i];
    for (int64_t i = m - 1; i >= 0; --i) {
      x[i] /= L[i * m + i];
      for (int64_t j = 0; j < i; ++j) x[j] -= L[i * m + j] * x[i];
    }
  });
  return true;
}

// Kc + eps m I, and its inverse M. Rz = Kc M = I - eps m M.
bool regularised_inverse(const Parallel& parallel, const double* Kc, double c, double* A, double* L, double* M,
                         int64_t m) {
  for (int64_t i = 0; i < m * m; ++i) A[i] = Kc[i];
  for (int64_t i = 0; i < m; ++i) A[i * m + i] += c;
  return invert(parallel, A, L, M, m);
}

void load_matrix(const View& v, double* A) {
  for (int64_t i = 0; i < v.rows; ++i)
    for (int64_t j = 0; j < v.cols; ++j) A[i * v.cols + j] = (double)matrix_row(v, i)[j];
}

const char* const kNotPositive = "[hsic] a centred kernel matrix plus eps m I is not positive definite; raise eps";

void prepare_normalize(KernelCall* call) {
  const int64_t m = call->in[0].rows;
  call->workspace_bytes = (4 * m * m + m) * (int64_t)sizeof(double);
}

// R = Kc (Kc + eps m I)^-1.
void run_normalize(const KernelCall* call) {
  const int64_t m = call->in[0].rows;
  double* K = static_cast<double*>(call->workspace);
  double *A = K + m * m, *L = A + m * m, *M = L + m * m, *mean = M + m * m;
  load_matrix(call->in[0], K);
  centre(K, m, mean);
  const double c = attr(call, "eps", 1e-5) * (double)m;
  const bool positive = regularised_inverse(call->parallel, K, c, A, L, M, m);
  if (!positive) *call->failure = kNotPositive;
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < m; ++j)
      matrix_row_out(call->out[0], i)[j] = positive ? (float)((i == j ? 1.0 : 0.0) - c * M[i * m + j]) : 0.0f;
}

// ---------------------------------------------------------------- the objective

enum Kind { kHsic, kNhsic, kCka, kPhsic };

struct Params {
  Kind kind;
  bool gaussian, unbiased;
  double sigma, features, beta, gamma, power, eps;
};

bool kind_named(const char* name, Kind* kind) {
  const char* const names[] = {"hsic", "nhsic", "cka", "phsic"};
  for (int i = 0; i < 4; ++i)
    if (strcmp(name, names[i]) == 0) {
      *kind = (Kind)i;
      return true;
    }
  return false;
}

// Matrices of one call, all [m,m] float64 in the workspace.
struct Work {
  double *K, *Kc, *X, *Y, *Xc, *Yc, *A, *B, *C, *D;
  double* vector;  // [m]
  double* median;  // [m(m-1)/2]
};
constexpr int kMatrices = 10;

void prepare_objective(KernelCall* call) {
  Params* p = params_of<Params>(call);
  if (!kind_named(attr_string(call, "kind"), &p->kind)) {
    call->error = "hsicObjective's kind must be hsic, nhsic, cka or phsic";
    return;
  }
  p->gaussian = is_gaussian(call);
  p->unbiased = attr(call, "unbiased") != 0;
  p->sigma = attr(call, "sigma");
  p->features = attr(call, "features", 1);
  p->beta = attr(call, "beta");
  p->gamma = attr(call, "gamma");
  p->power = attr(call, "power", 1);
  p->eps = attr(call, "eps", 1e-5);
  const int64_t m = call->in[0].rows;
  call->variant = attr_string(call, "kind");
  call->workspace_bytes = (kMatrices * m * m + m + pairs(m)) * (int64_t)sizeof(double);
}

Work work_of(const KernelCall* call, int64_t m) {
  double* base = static_cast<double*>(call->workspace);
  double* at[kMatrices];
  for (int i = 0; i < kMatrices; ++i) at[i] = base + i * m * m;
  double* rest = base + kMatrices * m * m;
  return {at[0], at[1], at[2], at[3], at[4], at[5], at[6], at[7], at[8], at[9], rest, rest + m};
}

// Song et al.'s U-centred matrix of `K` into `U`: HSIC_u = <U(K), L~>/(m(m-3)) for any L with its diagonal dropped.
void u_centre(const double* K, double* U, double* row, int64_t m) {
  double total = 0;
  for (int64_t i = 0; i < m; ++i) {
    row[i] = sum_of(K + i * m, m) - K[i * m + i];
    total += row[i];
  }
  const double two = (double)(m - 2), all = (double)(m - 1) * (double)(m - 2);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < m; ++j) U[i * m + j] = i == j ? 0 : K[i * m + j] - (row[i] + row[j]) / two + total / all;
}

double unbiased_hsic(const double* K, const double* L, double* U, double* row, int64_t m) {
  if (m < 4) return 0;
  u_centre(L, U, row, m);
  // U has a zero diagonal, so K's does not matter.
  return dot(U, K, m * m) / ((double)m * (double)(m - 3));
}

double norm(const double* A, int64_t count) { return __builtin_sqrt(dot(A, A, count)); }
double safe_ratio(double part, double whole) { return whole < kTinyNorm ? 0 : part / whole; }

struct Terms {
  double loss, x, y;
};

// hsic, biased or unbiased. A = dL/dK.
Terms hsic_terms(const Params& p, const Work& w, int64_t m) {
  const double beta = p.beta;
  if (p.unbiased) {
    const double x = unbiased_hsic(w.K, w.X, w.C, w.vector, m), y = unbiased_hsic(w.K, w.Y, w.D, w.vector, m);
    const double scale = m < 4 ? 0 : 1 / ((double)m * (double)(m - 3));
    for (int64_t i = 0; i < m * m; ++i) w.A[i] = m < 4 ? 0 : (w.C[i] - beta * w.D[i]) * scale;
    return {x - beta * y, x, y};
  }
  const double scale = 1 / __builtin_pow((double)(m - 1), p.power);
  const double x = dot(w.Kc, w.Xc, m * m) * scale, y = dot(w.Kc, w.Yc, m * m) * scale;
  for (int64_t i = 0; i < m * m; ++i) w.A[i] = (w.Xc[i] - beta * w.Yc[i]) * scale;
  return {x - beta * y, x, y};
}

// cka: B = Xc/nx - beta Yc/ny, n = |Kc|, L = <B,Kc>/n, A = (B - L Kc/n)/n.
Terms cka_terms(const Params& p, const Work& w, int64_t m) {
  const double n = norm(w.Kc, m * m), nx = norm(w.Xc, m * m), ny = norm(w.Yc, m * m);
  const double x = n < kTinyNorm ? 0 : safe_ratio(dot(w.Kc, w.Xc, m * m), nx) / n;
  const double y = n < kTinyNorm ? 0 : safe_ratio(dot(w.Kc, w.Yc, m * m), ny) / n;
  const double loss = x - p.beta * y;
  for (int64_t i = 0; i < m * m; ++i) {
    const double B = safe_ratio(w.Xc[i], nx) - p.beta * safe_ratio(w.Yc[i], ny);
    w.A[i] = n < kTinyNorm ? 0 : (B - loss * w.Kc[i] / n) / n;
  }
  return {loss, x, y};
}

// phsic: the X term is HSIC(Z,Z).
Terms phsic_terms(const Params& p, const Work& w, int64_t m) {
  const double scale = 1 / ((double)(m - 1) * (double)(m - 1));
  const double x = dot(w.Kc, w.Kc, m * m) * scale, y = dot(w.Kc, w.Yc, m * m) * scale;
  for (int64_t i = 0; i < m * m; ++i) w.A[i] = (2 * w.Kc[i] - p.gamma * w.Yc[i]) * scale;
  return {x - p.gamma * y, x, y};
}

// nhsic: M = (Kc + cI)^-1, Rz = I - cM, A = c H M (Rx - beta Ry) M H.
Terms nhsic_terms(const KernelCall* call, const Params& p, const Work& w, int64_t m) {
  const double c = p.eps * (double)m;
  double *M = w.B, *Rx = w.X, *Ry = w.Y;  // X and Y have been centred into Xc and Yc already
  if (!regularised_inverse(call->parallel, w.Kc, c, w.A, w.C, M, m)) {
    *call->failure = kNotPositive;
    for (int64_t i = 0; i < m * m; ++i) w.A[i] = 0;
    return {0, 0, 0};
  }
  load_matrix(call->in[3], Rx);
  load_matrix(call->in[4], Ry);
  double x = 0, y = 0;
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < m; ++j) {
      const double Rz = (i == j ? 1.0 : 0.0) - c * M[i * m + j];
      x += Rz * Rx[i * m + j];
      y += Rz * Ry[i * m + j];
      w.C[i * m + j] = c * (Rx[i * m + j] - p.beta * Ry[i * m + j]);
    }
  multiply(call->parallel, M, w.C, w.D, m);
  multiply(call->parallel, w.D, M, w.A, m);
  centre(w.A, m, w.vector);
  return {x - p.beta * y, x, y};
}

// dL/dG from A = dL/dK: A itself for a linear kernel; (2/g)(S - diag(S 1)), S = A o K, for a Gaussian.
void gram_gradient(const Params& p, const Work& w, double g, const View& out, int64_t m) {
  for (int64_t i = 0; i < m; ++i) {
    double sum = 0;
    for (int64_t j = 0; j < m; ++j) {
      const double symmetric = 0.5 * (w.A[i * m + j] + w.A[j * m + i]);
      const double S = !p.gaussian ? symmetric : i == j || g == 0 ? 0 : 2 / g * symmetric * (1 + w.K[i * m + j]);
      matrix_row_out(out, i)[j] = (float)S;
      sum += S;
    }
    if (p.gaussian) matrix_row_out(out, i)[i] = (float)-sum;
  }
}

// Participation ratio of the features' covariance: tr(Gc)^2/|Gc|^2, whose eigenvalues are the Gram's.
double effective_rank(const View& gram, double* Gc, double* mean, int64_t m) {
  load_matrix(gram, Gc);
  centre(Gc, m, mean);
  double trace = 0;
  for (int64_t i = 0; i < m; ++i) trace += Gc[i * m + i];
  const double square = dot(Gc, Gc, m * m);
  return square > 0 || square != square ? trace * trace / square : 0;
}

// G, Ex, Ey (, Rx, Ry) -> loss[1], report[8], dG[m,m].
void run_objective(const KernelCall* call) {
  const Params& p = *params_of<Params>(call);
  const View& gram = call->in[0];
  const int64_t m = gram.rows;
  const Work w = work_of(call, m);
  Width width = {0, 0};
  if (p.gaussian) width = kernel_width(gram, p.sigma, p.features, w.median);
  kernel_of(gram, p.gaussian, width.g, w.K);
  load_matrix(call->in[1], w.X);
  load_matrix(call->in[2], w.Y);
  for (int64_t i = 0; i < m * m; ++i) {
    w.Kc[i] = w.K[i];
    w.Xc[i] = w.X[i];
    w.Yc[i] = w.Y[i];
  }
  centre(w.Kc, m, w.vector);
  centre(w.Xc, m, w.vector);
  centre(w.Yc, m, w.vector);
  const double n = norm(w.Kc, m * m);
  float* report = floats_out(call->out[1]);
  report[3] = (float)unbiased_hsic(w.K, w.X, w.C, w.vector, m);
  report[4] = (float)unbiased_hsic(w.K, w.Y, w.C, w.vector, m);
  report[5] = (float)safe_ratio(safe_ratio(dot(w.Kc, w.Xc, m * m), norm(w.Xc, m * m)), n);
  report[6] = (float)safe_ratio(safe_ratio(dot(w.Kc, w.Yc, m * m), norm(w.Yc, m * m)), n);
  report[7] = (float)effective_rank(gram, w.C, w.vector, m);
  const Terms terms = p.kind == kHsic    ? hsic_terms(p, w, m)
                      : p.kind == kCka   ? cka_terms(p, w, m)
                      : p.kind == kPhsic ? phsic_terms(p, w, m)
                                         : nhsic_terms(call, p, w, m);
  report[0] = floats_out(call->out[0])[0] = (float)terms.loss;
  report[1] = (float)terms.x;
  report[2] = (float)terms.y;
  gram_gradient(p, w, width.g, call->out[2], m);
}

const Kernel kernels[] = {
    {"kernelMatrix", prepare_kernel_matrix, run_kernel_matrix},
    {"labelKernel", prepare_nothing, run_label_kernel},
    {"hsicNormalize", prepare_normalize, run_normalize},
    {"hsicObjective", prepare_objective, run_objective},
};

}  // namespace

extern const KernelList kHsicKernels;
const KernelList kHsicKernels = {kernels, sizeof kernels / sizeof kernels[0]};

}  // namespace gramian::cpu::GRAMIAN_ISA
