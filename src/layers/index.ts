// The layers a model is written with. Each declares its parameters in the scope it is called in.
export {
  type BlockOptions,
  channelAttention,
  denseBlock,
  type PyramidOptions,
  pyramid,
  unitComposite,
} from './blocks';
export { heNormal, normal, normalLater } from './init';
export { type Activation, connectionWeights, type NormalizeOptions, normalize, poolTo, whiten } from './normalize';
export { type ConvolutionOptions, convolution, dropout, padded, separable } from './plain';
export { composite, type DenseOptions, dense, type SeparableOptions, separableConv, stem } from './separable';
