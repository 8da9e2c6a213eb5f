// The words of the face pipeline: images, boxes, detections, and what a detector, a classifier and the recogniser answer.
// Everything in this folder speaks them. The rule easy to break: boxes and points are in pixels of the frame, with the
// centre of the first pixel at (0.5, 0.5), so that a box of the whole frame is {x: 0, y: 0, width, height}.

/** A frame: height x width x channels bytes, row by row; channels 1 (grey) or 3 (RGB). */
export interface Image {
  readonly pixels: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** Left upper corner and extents in pixels of the frame; not rounded, and it may reach over the frame's border. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Five points: the eye and the mouth's corner to the left as seen come before those to the right. */
export interface Landmarks {
  readonly leftEye: Point;
  readonly rightEye: Point;
  readonly nose: Point;
  readonly mouthLeft: Point;
  readonly mouthRight: Point;
}

export interface Detection {
  readonly box: Box;
  /** 0 to 1. Scores of different detectors do not compare. */
  readonly score: number;
  /** From detectors that find them. */
  readonly landmarks?: Landmarks;
}

/** Finds faces in one image. Calls may overlap; each answers for its own image. */
export interface Detector {
  readonly name: string;
  /** Best score first. Rejects with ArgumentError for an image whose numbers do not fit each other. */
  detect(image: Image): Promise<readonly Detection[]>;
  /** Frees the networks. A second call does nothing. */
  dispose(): void;
}

/** How a network wants its faces cut out of the frame. */
export interface CropOptions {
  /** Height and width of a cut face. */
  readonly size: readonly [number, number];
  readonly channels: 1 | 3;
  /**
   * How the face's box is fitted into `size`. `aligned`: turned and scaled so that eyes and mouth lie where they lie on all
   * faces, where there are landmarks that are apart, else as `square`. `square`: the box's longer side. `padded`: the whole
   * box, its shorter side filled up with black. `stretched`: the whole box, both sides filled.
   */
  readonly fit: 'aligned' | 'square' | 'padded' | 'stretched';
  /** Share of the box's extent that is added around it, half on each side; above -1, 0 by default. */
  readonly margin?: number;
}

/** Tells expressions: a run of ours or an imported network, which answers for all faces of a frame at once. */
export interface FaceClassifier {
  readonly crop: CropOptions;
  readonly classNames: readonly string[];
  /**
   * Probabilities [count, classes] of `count` faces.
   * @param faces count x height x width x channels bytes, as `crop` says.
   */
  classify(faces: Uint8Array, count: number): Promise<Float32Array>;
  dispose(): void;
}

export interface Gender {
  /** What the network's training data called it. It says nothing about who somebody is. */
  readonly label: 'female' | 'male';
  /** 0.5 to 1. */
  readonly probability: number;
}

export interface FaceAttributes {
  readonly gender: Gender;
  /** Years. */
  readonly age: number;
}

/** Estimates age and gender of all faces of a frame at once. */
export interface AttributeEstimator {
  readonly crop: CropOptions;
  /** One entry for each of `count` faces; `faces` as in FaceClassifier. */
  estimate(faces: Uint8Array, count: number): Promise<readonly FaceAttributes[]>;
  dispose(): void;
}

/** A face that is followed from frame to frame. */
export interface TrackedFace {
  /** Counts from 1; the same face keeps its number until it is lost, and a number is not given twice. */
  readonly id: number;
  readonly box: Box;
  /** The detector's score when it last saw the face. */
  readonly score: number;
  /** Moved along with the box between detections. */
  readonly landmarks?: Landmarks;
  /** 0 to 1: how sure the tracker is; 1 in a frame in which the detector saw the face. */
  readonly confidence: number;
  /** Probability of each class by its name, smoothed over frames; absent without a classifier. */
  readonly expressions?: Readonly<Record<string, number>>;
  /** Absent without an estimator, as `age`. */
  readonly gender?: Gender;
  /** Years, smoothed over frames. */
  readonly age?: number;
}

/** Milliseconds of one frame by stage; 0 for a stage that did not run. */
export interface StageTimings {
  readonly detect: number;
  readonly track: number;
  /** Cutting and aligning faces. */
  readonly crop: number;
  /** Expressions and attributes, which run at the same time. */
  readonly classify: number;
  /** The whole frame. */
  readonly total: number;
}

/** What the recogniser answers for one frame. Plain data: JSON carries it whole. */
export interface FaceFrame {
  /** Counts from 0, the frames that its stream answered. */
  readonly index: number;
  readonly width: number;
  readonly height: number;
  /** Whether the detector looked at this frame; between detections faces are tracked. */
  readonly detected: boolean;
  /** In the order of their ids. */
  readonly faces: readonly TrackedFace[];
  readonly timings: StageTimings;
}
