// What a run says about itself: the events of training and the evaluation at its end. The trainer emits them, RunLog
// stores them, the CLI prints them and the report draws them. Plain JSON, so a field added here must stay optional for
// the runs already on disk. `step` counts finished steps since the run began, also after a resume; `epoch` is the number
// of the current epoch, from 0, and in `end` the number of epochs finished.

/** Dependence of one unit's output Z on the input X and the labels Y, over one probe batch. */
export interface UnitMetrics {
  readonly name: string;
  readonly loss: number;
  /** The two terms as they enter the loss, without beta. */
  readonly x: number;
  readonly y: number;
  /** Unbiased HSIC(X, Z) and HSIC(Z, Y). */
  readonly hsicX: number;
  readonly hsicY: number;
  /** The same, normalised to 0..1. */
  readonly ckaX: number;
  readonly ckaY: number;
  /** Participation ratio of the features' covariance, 1 and up. 1 means the unit has collapsed. */
  readonly effectiveRank: number;
}

export interface StepEvent {
  readonly event: 'step';
  readonly epoch: number;
  readonly step: number;
  readonly loss: number;
  /** One loss per unit. */
  readonly losses: readonly number[];
  readonly unitNames?: readonly string[];
  readonly imagesPerSecond: number;
  readonly learningRate: number;
  readonly etaSeconds: number;
}

export interface EpochEvent {
  readonly event: 'epoch';
  readonly epoch: number;
  readonly step: number;
  readonly loss: number;
  /** Accuracies are shares, 0 to 1. */
  readonly trainAccuracy: number;
  readonly validationAccuracy?: number;
  readonly testAccuracy?: number;
  /** Of the test split; `testAccuracy` is its accuracy. */
  readonly evaluation?: Evaluation;
  readonly units: readonly UnitMetrics[];
  readonly imagesPerSecond: number;
  readonly seconds: number;
}

export interface EndEvent {
  readonly event: 'end';
  readonly epoch: number;
  readonly step: number;
  readonly loss: number;
  /** Absent from an interrupted run, whose weights were not evaluated. */
  readonly testAccuracy?: number;
  /** The run's folder. */
  readonly run: string;
  readonly seconds: number;
  readonly imagesPerSecond: number;
  readonly evaluation?: Evaluation;
  readonly interrupted: boolean;
}

export interface NoteEvent {
  readonly event: 'note';
  readonly text: string;
}

export type TrainEvent = StepEvent | EpochEvent | EndEvent | NoteEvent;

export interface ClassScores {
  readonly name: string;
  readonly precision: number;
  readonly recall: number;
  readonly specificity: number;
  /** Samples of the class. */
  readonly support: number;
}

export interface Evaluation {
  readonly accuracy: number;
  readonly balancedAccuracy: number;
  readonly macroF1: number;
  /** confusion[i][j] samples of class i were called class j. */
  readonly confusion: readonly (readonly number[])[];
  readonly classes: readonly ClassScores[];
}
