// What depthwise.cpp and few_taps.cpp offer to conv2d.cpp. Each takes the call of its conv2d op.
// The rule easy to break: a depthwise call belongs to depthwise.cpp from prepare on.
#pragma once
#include "cuda/kernels/conv_shape.h"

namespace gramian::cuda {

void run_depthwise(const Call& call, const ConvShape& shape, Queue& queue);
void run_depthwise_grad_input(const Call& call, const ConvShape& shape, Queue& queue);
void prepare_depthwise_grad_filter(Call& call, const ConvShape& shape);
void run_depthwise_grad_filter(const Call& call, const ConvShape& shape, Queue& queue);

/** Whether few_taps.cu makes the gradient by the filter, which is a network's first one. */
bool has_few_taps(const ConvShape& shape);
int64_t few_taps_bytes(const ConvShape& shape);
/** `rounded`: factors are rounded to bfloat16. */
void run_few_taps(const Call& call, const ConvShape& shape, bool rounded, Queue& queue);

}  // namespace gramian::cuda
