// The public API and nothing else. What is exported here is kept compatible; everything else may change.
export {
  analyze,
  type CompileOptions,
  compile,
  type DeviceInfo,
  devices,
  type Plan,
  type PlanDescription,
} from './compile';
export {
  type DuplicateOptions,
  type DuplicatePair,
  type DuplicateReport,
  findDuplicates,
} from './data/duplicates';
export { type LoadOptions, loadData } from './data/load';
export {
  type DataSplits,
  type Dataset,
  EXPRESSIONS,
  type FeatureDataset,
  type ImageDataset,
  merge,
  pixelStatistics,
  select,
} from './data/types';
export * from './errors';
export { type Fold, type FoldOptions, kFold, type Samples, twoFoldSpi } from './evaluation/folds';
export {
  type ClassSummary,
  type ExperimentSummary,
  type FoldResult,
  type Spread,
  spread,
  summarizeRuns,
} from './evaluation/summary';
export {
  type Cell,
  type Column,
  classTable,
  confusionTable,
  csvTable,
  markdownTable,
  scoreTable,
  type Table,
} from './evaluation/tables';
export * as faces from './faces';
export * as features from './features';
export { grad } from './graph/gradients';
export {
  type DType,
  Graph,
  type Shape,
  type Tensor,
  type TensorData,
  type Unit,
  type UnitOptions,
} from './graph/graph';
export * as ops from './graph/ops';
export { print } from './graph/print';
export { fromFaceApi } from './interchange/faceApi';
export { type ExportOptions, exportOnnx } from './interchange/onnx/export';
export {
  type ApplyOptions,
  loadOnnx,
  type OnnxInput,
  OnnxModel,
  type OnnxResult,
  parseOnnx,
} from './interchange/onnx/model';
export { type OnnxFunctionOptions, onnxFunction } from './interchange/onnx/modelFunction';
export type { NamedTensor, NamedTensors } from './interchange/tensors';
export { loadTfjsWeights, parseTfjsWeights } from './interchange/tfjs';
export { loadTflite, parseTflite } from './interchange/tflite';
export { fromTorchvision, type TorchvisionOptions } from './interchange/torchvision';
export * as layers from './layers';
export {
  ageGenderNet,
  ageGenderOutputs,
  FACE_API_EXPRESSIONS,
  FACE_API_PIXELS,
  faceExpressionNet,
  type ModelFunction,
  type ModelOptions,
  modelNamed,
  models,
  TINY_FACE_ANCHORS,
  TINY_FACE_PIXELS,
  tinyFaceDetector,
} from './models';
export { type AttachOptions, attachTraining, REPORT_COLUMNS, type TrainingGraph } from './objectives/attach';
export { OBJECTIVE_DEFAULTS, OBJECTIVES, type ObjectiveOptions } from './objectives/options';
export { type NamePattern, OPTIMIZERS, type OptimizerOptions, type ScheduleSettings, update } from './optim';
export type { EndEvent, EpochEvent, Evaluation, StepEvent, TrainEvent } from './report/events';
export {
  type EpochCallback,
  type EpochContext,
  type EpochVerdict,
  type OutlierRemoval,
  outlierRemoval,
} from './train/callbacks';
export type { CompiledModel, InferenceOptions, InferenceResult, PixelOptions } from './train/compiledModel';
export {
  type CompileModelOptions,
  compileModel,
  type LoadedModel,
  type LoadModelOptions,
  loadModel,
  type Weights,
} from './train/compileModel';
export { TRAIN_DEFAULTS, type TrainConfig } from './train/config';
export {
  DistributionRemoval,
  type DistributionRemovalOptions,
  type RemovalRecord,
  type RemovalResult,
  type RemovalRule,
  type RemovalState,
  removalRule,
} from './train/distributionRemoval';
export { type EvaluateOptions, evaluate, type Prediction, predict } from './train/evaluate';
export type { NetworkSpec } from './train/evaluator';
export { type ExportedRun, type ExportRunOptions, exportRun } from './train/exportRun';
export { type ActivationMap, type GradCam, type GradCamOptions, gradCam } from './train/gradCam';
export { type ImportedRun, type ImportRunOptions, importRun } from './train/importRun';
export { type ClassMetrics, confusion, type Metrics, metricsOf } from './train/metrics';
export { loadSafetensors, saveSafetensors } from './train/safetensors';
export { type Summary, summarize } from './train/summarize';
export { type TrainHooks, type TrainSettings, train } from './train/train';
export { type RateGroup, type StepsResult, Trainer, type TrainerOptions } from './train/trainer';
export { transferWeights } from './train/transfer';
