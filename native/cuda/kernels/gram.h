// Parameters of gram.cu. Plain data for host and device code; pitches in elements.
#pragma once
#include <stdint.h>

namespace gramian::cuda {

/** y = z less its column means, vectors of columns at a time. */
struct CentreParams {
  const float* z;
  float* y;
  uint32_t rows, vectors, pitch_z, pitch_y;
};

/** z z' over a slab of columns for each block of x, for panels of rows (a pair for each block of y). */
struct GramParams {
  const float* z;
  float* y;  // [slabs, m, m] without gaps, or the one slab's g
  uint32_t m, cols, slab;
  uint32_t pitch_z, pitch_y, part;  // part: elements from a slab's y to the next one's
  uint32_t centred;                 // column means are removed here; only where there is one panel
  uint32_t wide_y;                  // rows of y begin at multiples of 16 bytes
};

/** dz[m,cols] = factor[m,m] z, m at most 128, the factor symmetric; a block to 32 columns. */
struct GramGradParams {
  const float *factor, *z;
  float* dz;
  uint32_t m, cols, pitch_factor, pitch_z, pitch_dz;
  uint32_t centred;
};

/** g[m,m] made into the factor of gramGrad. */
struct SquareParams {
  const float* g;
  float* factor;
  double* means;  // of the factor's rows, where it is centred
  uint32_t m, pitch_g, pitch_factor;
};

}  // namespace gramian::cuda
