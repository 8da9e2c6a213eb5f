// What the streams of one recogniser share: its networks, its tracker and how often it looks. Made by recognizer.ts.
import type { KcfTracker } from './kcf';
import type { AttributeEstimator, Detector, FaceClassifier } from './types';

export interface StreamParts {
  readonly detector: Detector;
  readonly classifier?: FaceClassifier;
  readonly attributes?: AttributeEstimator;
  readonly tracker: KcfTracker;
  /** The detector looks at one frame of so many. */
  readonly detectEvery: number;
  /** How much of a probability comes from the frames before, 0 to below 1. */
  readonly smoothing: number;
  disposed: boolean;
}
