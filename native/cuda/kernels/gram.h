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

/** g[m,m]: mirrored, or made into the factor of gramGrad. */
struct SquareParams {
  const float* g;
  float* factor;
  double* means;  // of the factor's rows, where it is centred
  uint32_t m, pitch_g, pitch_factor;
};

}  // namespace gramian::cuda
