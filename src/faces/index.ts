// What users of the face pipeline import, as `faces` of the package.
export { iou } from './image';
export { type FramesOptions, Recognizer, type RecognizerOptions } from './recognizer';
export { FaceStream } from './stream';
export type * from './types';
