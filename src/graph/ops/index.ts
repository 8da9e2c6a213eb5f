// Every op builder, by the room's one door. A builder checks its arguments, works out the output shapes and appends
// one node of docs/ops.md (or a few, where it is a composition); layers, objectives and optimisers import from here.
export * from './classification';
export * from './conv';
export * from './dataset';
export * from './dependence';
export {
  ACTIVATIONS,
  type Activation,
  abs,
  activation,
  add,
  affine,
  bias,
  broadcastShapes,
  channelScale,
  DEFAULT_ALPHA,
  div,
  dropout,
  elu,
  exp,
  fill,
  leakyRelu,
  log,
  maximum,
  minimum,
  mul,
  relu,
  sigmoid,
  sign,
  sqrt,
  square,
  stopGradient,
  sub,
  tanh,
} from './elementwise';
export * from './linear';
export * from './normalization';
export * from './pool';
export * from './reduce';
export * from './shape';
export * from './update';
export { type ExplicitPadding, type Padding, samePadding } from './window';
