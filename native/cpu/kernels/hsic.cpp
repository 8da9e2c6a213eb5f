// Kernel matrices and the dependence objectives built on them: HSIC (biased and unbiased), normalised HSIC, CKA, pHSIC.
// Called through the table built in table.cpp. Everything is O(m^2) in the batch m except nhsic's inverse.
// The rules easy to break: E = K - 1 (expm1) stands for K wherever a centring follows, and K = 1 + E in the gradient;
// sums are float64; every degenerate batch (equal rows, one class, m = 2) has a finite result.
#include "cpu/kernels/doubles.h"
#include "cpu/kernels/select.h"
#include "cpu/kernels/spans.h"
#include "cpu/kernels/spd.h"

namespace gramian::cpu::GRAMIAN_ISA {
namespace {

struct Matrix {  // a float matrix with a pitch
  const float* data;
  int64_t pitch;
  inline double at(int64_t i, int64_t j) const { return (double)data[i * pitch + j]; }
  inline const float* row(int64_t i) const { return data + i * pitch; }
};
Matrix matrix_of(const View& v) { return {floats(v), v.pitch}; }

// body(j, lanes) for the vectors of doubles of a row of m.
template <typename Body>
inline void for_vectors(int64_t m, const Body& body) {
  int64_t j = 0;
  for (; j + D <= m; j += D) body(j, D);
  if (j < m) body(j, (int)(m - j));
}

// body(i) for every row of an m x m matrix.
template <typename Body>
void for_matrix_rows(const KernelCall* call, int64_t m, const Body& body) {
  for_groups(call->parallel, m, m * 4, [&](int64_t i0, int64_t i1) {
    for (int64_t i = i0; i < i1; ++i) body(i);
  });
}

// ---------------------------------------------------------------- kernel of a Gram matrix

// Squared distances of row i to rows j .. j+D-1; a NaN stays.
inline vd distances(const Matrix& G, const double* diagonal, int64_t i, int64_t j, int lanes) {
  const vd d = diagonal[i] + load_doubles(diagonal + j, lanes) - 2 * load_doubles(G.row(i) + j, lanes);
  return d < 0 ? vd{} : d;
}
void read_diagonal(const Matrix& G, int64_t m, double* diagonal) {
  for (int64_t i = 0; i < m; ++i) diagonal[i] = G.at(i, i);
}

// g of exp(-D/g): 2 sigma^2 features, or twice the lower median distance (`scratch`: m(m-1)/2 doubles).
double bandwidth(const KernelCall* call, const Matrix& G, const double* diagonal, int64_t m, double* scratch) {
  const double sigma = attr(call, "sigma");
  if (sigma > 0) return 2 * sigma * sigma * attr(call, "features", 1);
  int64_t count = 0;
  for (int64_t i = 0; i < m; ++i)
    for_vectors(m - i - 1, [&](int64_t j, int lanes) {
      const vd d = distances(G, diagonal, i, i + 1 + j, lanes);
      store_doubles(scratch + count, d == d ? d : vd{}, lanes);
      count += lanes;
    });
  return count > 0 ? 2 * nth_smallest(scratch, count, (count - 1) / 2) : 0;
}

// E = expm1(-D/g), diagonal 0; all 0 when g is.
void gaussian(const KernelCall* call, const Matrix& G, const double* diagonal, int64_t m, double g, float* E,
              int64_t pitch) {
  for_matrix_rows(call, m, [&](int64_t i) {
    float* row = E + i * pitch;
    for_vectors(m, [&](int64_t j, int lanes) {
      store_floats(row + j, g > 0 ? -distances(G, diagonal, i, j, lanes) / g : vd{}, lanes);
    });
    row[i] = 0;
    for (int64_t j = 0; j < m; j += W) {
      const int lanes = (int)min64(W, m - j);
      store_lanes(row + j, vexpm1(load_lanes(row + j, lanes)), lanes);
    }
  });
}

bool is_gaussian(const KernelCall* call) { return strcmp(attr_string(call, "kernel", "gaussian"), "gaussian") == 0; }

void check_kernel(KernelCall* call) {
  if (!is_gaussian(call) && strcmp(attr_string(call, "kernel"), "linear") != 0)
    call->error = "the kernel must be gaussian or linear";
}

void prepare_kernel_matrix(KernelCall* call) {
  const int64_t m = call->in[0].rows;
  const bool median = is_gaussian(call) && !(attr(call, "sigma") > 0);
  call->workspace_bytes = (m + (median ? m * (m - 1) / 2 : 0)) * (int64_t)sizeof(double);
  check_kernel(call);
}

// G[m,m] -> E[m,m], sigma[1]
void run_kernel_matrix(const KernelCall* call) {
  const View &in = call->in[0], &E = call->out[0];
  float* sigma = floats_out(call->out[1]);
  if (!is_gaussian(call)) {
    map1(call, in, E, [](vf x) { return x; });
    *sigma = 0;
    return;
  }
  auto* const diagonal = static_cast<double*>(call->workspace);
  read_diagonal(matrix_of(in), in.rows, diagonal);
  const double g = bandwidth(call, matrix_of(in), diagonal, in.rows, diagonal + in.rows);
  gaussian(call, matrix_of(in), diagonal, in.rows, g, floats_out(E), E.pitch);
  *sigma = (float)__builtin_sqrt(g / (2 * attr(call, "features", 1)));
}

void run_label_kernel(const KernelCall* call) {
  const View& E = call->out[0];
  const int32_t* labels = ints(call->in[0]);
  for_matrix_rows(call, E.rows, [&](int64_t i) {
    float* row = floats_out(E) + i * E.pitch;
    for (int64_t j = 0; j < E.cols; ++j) row[j] = labels[i] == labels[j] ? 1.0f : 0.0f;
  });
}

// ---------------------------------------------------------------- centring

// A symmetric matrix with what its two centrings need. H A H subtracts row and column means; U-centring (Song et al.
// 2012; Szekely and Rizzo 2014) does the same without the diagonal and makes products of centred matrices unbiased.
struct Centred {
  Matrix matrix;
  int64_t m;
  double *mean, *off;  // [m] row means; row sums without the diagonal over m-2
  double grand, off_grand;
  inline double at(int64_t i, int64_t j) const { return matrix.at(i, j) - mean[i] - mean[j] + grand; }
  // Of the row's elements j .. j+lanes-1; `plain` is the matrix there. Lanes behind the last are 0.
  inline vd vector(const vd& plain, int64_t i, int64_t j, int lanes) const {
    return first_doubles(plain - mean[i] - load_doubles(mean + j, lanes) + grand, lanes);
  }
  inline vd off_vector(const vd& plain, int64_t i, int64_t j, int lanes) const {
    return first_doubles(plain - off[i] - load_doubles(off + j, lanes) + off_grand, lanes);
  }
  inline vd plain(int64_t i, int64_t j, int lanes) const { return load_doubles(matrix.row(i) + j, lanes); }
};

// `memory` holds 2m doubles.
Centred centre(const KernelCall* call, const Matrix& matrix, int64_t m, double* memory) {
  Centred c = {matrix, m, memory, memory + m, 0, 0};
  const double others = m > 2 ? (double)(m - 2) : 1;
  for_matrix_rows(call, m, [&](int64_t i) {
    vd sums = {};
    for_vectors(m, [&](int64_t j, int lanes) { sums += load_doubles(matrix.row(i) + j, lanes); });
    const double sum = sum_of(sums);
    c.mean[i] = sum / (double)m;
    c.off[i] = (sum - matrix.at(i, i)) / others;
  });
  for (int64_t i = 0; i < m; ++i) {
    c.grand += c.mean[i];
    c.off_grand += c.off[i];
  }
  c.grand /= (double)m;
  c.off_grand /= (double)(m > 1 ? m - 1 : 1);
  return c;
}

// inverse = (HKH + ridge I)^-1; a and b are scratch, m*m each.
void invert_centred(const KernelCall* call, const Centred& K, double ridge, double* a, double* b, double* inverse) {
  const int64_t m = K.m;
  for_matrix_rows(call, m, [&](int64_t i) {
    for (int64_t j = 0; j < m; ++j) a[i * m + j] = K.at(i, j) + (i == j ? ridge : 0);
  });
  // HKH has no negative eigenvalues but by rounding, so the ridge bounds the pivots; without one, something tiny does.
  double largest = 0;
  for (int64_t i = 0; i < m; ++i) largest = a[i * m + i] > largest ? a[i * m + i] : largest;
  const double tiny = largest > 0 ? largest * 1e-14 : 1;
  invert_spd(call->parallel, a, b, inverse, m, ridge > tiny ? ridge : tiny);
}

void prepare_normalize(KernelCall* call) {
  const int64_t m = call->in[0].rows;
  call->workspace_bytes = (3 * m * m + 2 * m) * (int64_t)sizeof(double);
}

// R = Kc (Kc + cI)^-1 = I - c (Kc + cI)^-1, c = eps m.
void run_normalize(const KernelCall* call) {
  const View &E = call->in[0], &R = call->out[0];
  const int64_t m = E.rows;
  const double c = attr(call, "eps", 1e-5) * (double)m;
  auto* memory = static_cast<double*>(call->workspace);
  double* inverse = memory + 2 * m * m;
  const Centred K = centre(call, matrix_of(E), m, memory + 3 * m * m);
  invert_centred(call, K, c, memory, memory + m * m, inverse);
  for_matrix_rows(call, m, [&](int64_t i) {
    float* row = floats_out(R) + i * R.pitch;
    for (int64_t j = 0; j < m; ++j) row[j] = (float)((i == j ? 1.0 : 0.0) - c * inverse[i * m + j]);
  });
}

// ---------------------------------------------------------------- the objective

enum class Kind { hsic, nhsic, cka, phsic };

struct Objective {
  Kind kind;
  bool gaussian, unbiased;
  int64_t m;
  // Offsets into the workspace, in doubles.
  int64_t means, diagonal, rows, A, E, normal;  // 4 x 2m; m; m x kSums; m x m; m x m floats; 3 x m x m (nhsic)
};

// Sums over all pairs (i, j).
enum Sum { kKX, kKY, kKK, kXX, kYY, kGG, kTrace, kFullK, kFullX, kFullY, kFullG, kOffX, kOffY, kNormX, kNormY, kSums };

void prepare_objective(KernelCall* call) {
  Objective& p = *params_of<Objective>(call);
  const char* kind = attr_string(call, "kind");
  const char* const names[] = {"hsic", "nhsic", "cka", "phsic"};
  int found = 0;
  while (found < 4 && strcmp(kind, names[found]) != 0) ++found;
  p.kind = (Kind)found;
  p.gaussian = is_gaussian(call);
  p.unbiased = attr(call, "unbiased") != 0;
  p.m = call->in[0].rows;
  check_kernel(call);
  if (found == 4) call->error = "hsicObjective's kind must be hsic, nhsic, cka or phsic";
  if (p.m < 2) call->error = "hsicObjective needs a batch of at least 2";
  if (found == 1 && call->in_count < 5) call->error = "hsicObjective of kind nhsic needs Rx and Ry";
  const int64_t square = p.m * p.m;
  p.means = 0;
  p.diagonal = 8 * p.m;
  p.rows = 9 * p.m;
  p.A = p.rows + p.m * kSums;
  p.E = p.A + square;
  p.normal = p.E + (p.gaussian ? (square + 1) / 2 : 0);
  call->workspace_bytes = (p.normal + (p.kind == Kind::nhsic ? 3 * square : 0)) * (int64_t)sizeof(double);
}

struct Operands {
  Centred K, X, Y, G;
  Matrix Rx, Ry;          // nhsic
  const double* inverse;  // nhsic: (Kc + ridge I)^-1
  double ridge, g;
};

// The diagonal is no pair: its lane becomes 0.
inline vd without(vd values, int64_t i, int64_t j) {
  if (i >= j && i < j + D) values[i - j] = 0;
  return values;
}

// One row's share of every sum.
void add_row(const Operands& o, bool nhsic, int64_t i, double* sum) {
  const int64_t m = o.K.m;
  vd sums[kSums] = {};
  for_vectors(m, [&](int64_t j, int lanes) {
    const vd K = o.K.plain(i, j, lanes), X = o.X.plain(i, j, lanes), Y = o.Y.plain(i, j, lanes);
    const vd G = o.G.plain(i, j, lanes);
    const vd k = o.K.vector(K, i, j, lanes), x = o.X.vector(X, i, j, lanes), y = o.Y.vector(Y, i, j, lanes);
    const vd g = o.G.vector(G, i, j, lanes);
    sums[kKX] += k * x;
    sums[kKY] += k * y;
    sums[kKK] += k * k;
    sums[kXX] += x * x;
    sums[kYY] += y * y;
    sums[kGG] += g * g;
    sums[kFullK] += K * K;
    sums[kFullX] += X * X;
    sums[kFullY] += Y * Y;
    sums[kFullG] += G * G;
    const vd off = without(o.K.off_vector(K, i, j, lanes), i, j);
    sums[kOffX] += off * o.X.off_vector(X, i, j, lanes);
    sums[kOffY] += off * o.Y.off_vector(Y, i, j, lanes);
  });
  for (int s = 0; s < kSums; ++s) sum[s] = sum_of(sums[s]);
  for (int64_t j = 0; nhsic && j < m; ++j) {
    const double r = (i == j ? 1.0 : 0.0) - o.ridge * o.inverse[i * m + j];
    sum[kNormX] += r * o.Rx.at(i, j);
    sum[kNormY] += r * o.Ry.at(i, j);
  }
  sum[kTrace] = o.G.at(i, i);
}

// A Frobenius norm from its square; 0 when it is below 1e-12 or nothing but the rounding of the centring.
double frobenius(double square, double full_square) {
  const double norm = __builtin_sqrt(square);
  return norm < 1e-12 || norm < 1e-14 * __builtin_sqrt(full_square) ? 0 : norm;
}
inline double ratio(double a, double b) { return b != 0 ? a / b : 0; }

// The loss's terms, and its derivative A = x Xc + y Yc + k Kc (with the U-centred X and Y for the unbiased kind).
struct Terms {
  double loss, term_x, term_y;
  double x, y, k;
};

Terms terms_of(const KernelCall* call, const Objective& p, const double* sum, double n, double nx, double ny) {
  const double m = (double)p.m, beta = attr(call, "beta"), gamma = attr(call, "gamma");
  Terms t = {};
  if (p.kind == Kind::nhsic) {  // A is a matrix of its own
    t.term_x = sum[kNormX];
    t.term_y = sum[kNormY];
  } else if (p.kind == Kind::cka) {
    t.term_x = ratio(sum[kKX], n * nx);
    t.term_y = ratio(sum[kKY], n * ny);
    t.x = ratio(1, n * nx);
    t.y = -beta * ratio(1, n * ny);
    t.k = -ratio(t.term_x - beta * t.term_y, n * n);
  } else if (p.kind == Kind::phsic) {
    const double scale = 1 / ((m - 1) * (m - 1));
    t.term_x = sum[kKK] * scale;
    t.term_y = sum[kKY] * scale;
    t.k = 2 * scale;
    t.y = -gamma * scale;
  } else {
    const double scale =
        p.unbiased ? (p.m >= 4 ? 1 / (m * (m - 3)) : 0) : 1 / __builtin_pow(m - 1, attr(call, "power", 1));
    t.term_x = sum[p.unbiased ? kOffX : kKX] * scale;
    t.term_y = sum[p.unbiased ? kOffY : kKY] * scale;
    t.x = scale;
    t.y = -beta * scale;
  }
  t.loss = t.term_x - (p.kind == Kind::phsic ? gamma : beta) * t.term_y;
  return t;
}

void combine(const KernelCall* call, const Objective& p, const Operands& o, const Terms& t, double* A) {
  const bool off = p.kind == Kind::hsic && p.unbiased;
  for_matrix_rows(call, p.m, [&](int64_t i) {
    double* row = A + i * p.m;
    for_vectors(p.m, [&](int64_t j, int lanes) {
      const vd X = o.X.plain(i, j, lanes), Y = o.Y.plain(i, j, lanes);
      const vd both = off ? without(t.x * o.X.off_vector(X, i, j, lanes) + t.y * o.Y.off_vector(Y, i, j, lanes), i, j)
                          : t.x * o.X.vector(X, i, j, lanes) + t.y * o.Y.vector(Y, i, j, lanes) +
                                t.k * o.K.vector(o.K.plain(i, j, lanes), i, j, lanes);
      store_doubles(row + j, both, lanes);
    });
  });
}

// nhsic: A = c H M (Rx - beta Ry) M H, M the inverse; a and b are scratch, m*m each.
void differentiate_nhsic(const KernelCall* call, const Operands& o, double* a, double* b, double* A) {
  const int64_t m = o.K.m;
  const double beta = attr(call, "beta");
  for_matrix_rows(call, m, [&](int64_t i) {
    for (int64_t j = 0; j < m; ++j) a[i * m + j] = o.Rx.at(i, j) - beta * o.Ry.at(i, j);
  });
  multiply(call->parallel, o.inverse, a, b, m);
  multiply(call->parallel, b, o.inverse, A, m);
  double grand = 0;
  for (int64_t i = 0; i < m; ++i) {  // row means in a[0..m), column means in b[0..m)
    double row = 0, column = 0;
    for (int64_t j = 0; j < m; ++j) {
      row += A[i * m + j];
      column += A[j * m + i];
    }
    a[i] = row / (double)m;
    b[i] = column / (double)m;
    grand += a[i] / (double)m;
  }
  for_matrix_rows(call, m, [&](int64_t i) {
    for (int64_t j = 0; j < m; ++j) A[i * m + j] = o.ridge * (A[i * m + j] - a[i] - b[j] + grand);
  });
}

// linear: dG = A; gaussian: dG = (2/g)(S - diag(S 1)), S = A o (1 + E).
void write_gradient(const KernelCall* call, const Objective& p, const Operands& o, const double* A) {
  const View& dG = call->out[2];
  const double scale = o.g > 0 ? 2 / o.g : 0;
  for_matrix_rows(call, p.m, [&](int64_t i) {
    float* row = floats_out(dG) + i * dG.pitch;
    vd others = {};
    for_vectors(p.m, [&](int64_t j, int lanes) {
      const vd a = load_doubles(A + i * p.m + j, lanes);
      const vd s = p.gaussian ? scale * a * (1 + o.K.plain(i, j, lanes)) : a;
      store_floats(row + j, s, lanes);
      others += without(s, i, j);
    });
    if (p.gaussian) row[i] = (float)-sum_of(others);
  });
}

// loss[1], report[8] = loss, X term, Y term, unbiased HSIC with X and Y, CKA with X and Y, effective rank.
void write_report(const KernelCall* call, const Objective& p, const double* sum, const Terms& t, double n, double nx,
                  double ny) {
  const double unbiased = p.m >= 4 ? 1 / ((double)p.m * (double)(p.m - 3)) : 0;
  const double gram = frobenius(sum[kGG], sum[kFullG]);
  const double report[8] = {t.loss,
                            t.term_x,
                            t.term_y,
                            sum[kOffX] * unbiased,
                            sum[kOffY] * unbiased,
                            ratio(sum[kKX], n * nx),
                            ratio(sum[kKY], n * ny),
                            ratio(sum[kTrace] * sum[kTrace], gram * gram)};
  floats_out(call->out[0])[0] = (float)t.loss;
  for (int i = 0; i < 8; ++i) floats_out(call->out[1])[i] = (float)report[i];
}

// G, Ex, Ey (, Rx, Ry) -> loss[1], report[8], dG[m,m]
void run_objective(const KernelCall* call) {
  const Objective& p = *params_of<Objective>(call);
  const int64_t m = p.m, square = m * m;
  auto* memory = static_cast<double*>(call->workspace);
  double *means = memory + p.means, *rows = memory + p.rows, *A = memory + p.A, *normal = memory + p.normal;
  const bool nhsic = p.kind == Kind::nhsic;
  const Matrix G = matrix_of(call->in[0]);
  Matrix K = G;
  Operands o = {};
  if (p.gaussian) {
    auto* E = reinterpret_cast<float*>(memory + p.E);
    double* const diagonal = memory + p.diagonal;
    read_diagonal(G, m, diagonal);
    o.g = bandwidth(call, G, diagonal, m, A);  // A is not in use yet
    gaussian(call, G, diagonal, m, o.g, E, m);
    K = {E, m};
  }
  o.K = centre(call, K, m, means);
  o.X = centre(call, matrix_of(call->in[1]), m, means + 2 * m);
  o.Y = centre(call, matrix_of(call->in[2]), m, means + 4 * m);
  o.G = centre(call, G, m, means + 6 * m);
  if (nhsic) {
    o.Rx = matrix_of(call->in[3]);
    o.Ry = matrix_of(call->in[4]);
    o.ridge = attr(call, "eps", 1e-5) * (double)m;
    o.inverse = normal + 2 * square;
    invert_centred(call, o.K, o.ridge, normal, normal + square, normal + 2 * square);
  }
  for_matrix_rows(call, m, [&](int64_t i) { add_row(o, nhsic, i, rows + i * kSums); });
  double sum[kSums] = {};
  for (int64_t i = 0; i < m; ++i)
    for (int s = 0; s < kSums; ++s) sum[s] += rows[i * kSums + s];
  const double n = frobenius(sum[kKK], sum[kFullK]), nx = frobenius(sum[kXX], sum[kFullX]);
  const double ny = frobenius(sum[kYY], sum[kFullY]);
  const Terms terms = terms_of(call, p, sum, n, nx, ny);
  if (nhsic)
    differentiate_nhsic(call, o, normal, normal + square, A);
  else
    combine(call, p, o, terms, A);
  write_gradient(call, p, o, A);
  write_report(call, p, sum, terms, n, nx, ny);
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
