// What users of the face pipeline import, as `faces` of the package.
export { annotated } from './annotate';
export { cropFaces, type Similarity, similarity } from './crop';
export { type FaceApiOptions, faceApiAttributes, faceApiClassifier, faceApiWeights } from './faceApi';
export { GrayFrame } from './grayFrame';
export { iou } from './image';
export { type KcfOptions, KcfTracker, type Track } from './kcf';
export {
  type LoadDetectorOptions,
  type LoadRecognizerOptions,
  loadDetector,
  loadRecognizer,
} from './load';
export { Mtcnn, type MtcnnOptions, mtcnnWeights } from './mtcnn';
export { DETECTORS, type DetectorName } from './names';
export { type FramesOptions, Recognizer, type RecognizerOptions } from './recognizer';
export { resizeArea, resizeBilinear } from './resize';
export { type RunClassifierOptions, runClassifier } from './runClassifier';
export { FaceStream } from './stream';
export { type Overlap, suppress } from './suppress';
export { TinyDetector, type TinyDetectorOptions } from './tinyDetector';
export { type AnnotatedFace, type AnnotatedImage, annotatedFolder } from './training/annotations';
export { drawnScenes } from './training/scenes';
export { type MtcnnTrainingOptions, saveMtcnn, type TrainingProgress, trainMtcnn } from './training/train';
export type * from './types';
export { type FramesOfOptions, framesOf } from './video';
