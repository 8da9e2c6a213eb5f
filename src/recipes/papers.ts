// What the papers print of their systems, as printed, for tables to show beside what is measured here. The rule easy to break:
// nothing that was measured here is ever written in this file.
import type { Cell, Column } from '../evaluation/tables';

export interface PaperFigures {
  /** Number in docs/models.md. */
  readonly paper: string;
  readonly secondsPerStep?: string;
  readonly parameters?: string;
  /** Test accuracy with the data it is of. */
  readonly accuracy?: string;
}

/**
 * Paper 000, Table 1: batch 128 at 224x224 on an RTX 2080, FER2013. 002: abstract and Table I. 003: Tables 1 and 2, SFEW by
 * two folds. 004: Tables 2 to 6, ten folds.
 */
export const PAPERS = {
  cfpn: { paper: '001', accuracy: '99.46 % in training, FER2013' },
  denseFpn: { paper: '000', secondsPerStep: '0.049', parameters: '7 M', accuracy: '97 % FER2013' },
  alexnet: { paper: '000', secondsPerStep: '0.243', parameters: '60 M', accuracy: '89 % FER2013' },
  inceptionV2: { paper: '000', secondsPerStep: '0.565', parameters: '11 M', accuracy: '93 % FER2013' },
  resnet50: { paper: '000', secondsPerStep: '0.180', parameters: '24 M', accuracy: '95 % FER2013' },
  densenet121: { paper: '001' },
  ferCnn: { paper: '002', accuracy: '57.15 % FER2013' },
  ferVgg: { paper: '002', accuracy: '58.83 % FER2013' },
  ferResnet18: { paper: '002', accuracy: '60.00 % FER2013' },
  mlp: { paper: '003', accuracy: '26.48 % SFEW' },
  mlpRemoval: { paper: '003', accuracy: '27.45 % SFEW' },
  sfewCnn: { paper: '003', accuracy: '37.03 % SFEW' },
  resnet18Tuned: { paper: '003', accuracy: '42.97 % SFEW' },
  mffCnn: { paper: '004', parameters: '1.21 M', accuracy: '98.80 % CK+, 96.52 % JAFFE, 96.51 % Oulu-CASIA' },
} as const satisfies Record<string, PaperFigures>;

export const PAPER_COLUMNS: readonly Column[] = [
  { name: 'paper', kind: 'text' },
  { name: 'paper: seconds a step', kind: 'text' },
  { name: 'paper: parameters', kind: 'text' },
  { name: 'paper: accuracy', kind: 'text' },
];

export function paperCells({ paper, secondsPerStep, parameters, accuracy }: PaperFigures): Cell[] {
  return [paper, secondsPerStep ?? null, parameters ?? null, accuracy ?? null];
}

/** Precision, recall and specificity of each class as paper 003 prints them (Table 1), and the accuracy. */
export interface PaperClasses {
  readonly accuracy: number;
  readonly precision: readonly number[];
  readonly recall: readonly number[];
  readonly specificity: readonly number[];
}

/** In the order anger, disgust, fear, happy, sad, surprise, neutral, which is not the table's own. */
export const SFEW_CLASSES = {
  raw: {
    accuracy: 0.2424,
    precision: [0.3, 0.17, 0.28, 0.26, 0.29, 0.2, 0.18],
    recall: [0.34, 0.17, 0.26, 0.22, 0.33, 0.2, 0.18],
    specificity: [0.86, 0.9, 0.88, 0.89, 0.87, 0.85, 0.86],
  },
  rawRemoval: {
    accuracy: 0.2552,
    precision: [0.36, 0.2, 0.27, 0.28, 0.29, 0.2, 0.21],
    recall: [0.27, 0.18, 0.33, 0.3, 0.27, 0.15, 0.27],
    specificity: [0.92, 0.9, 0.83, 0.87, 0.89, 0.89, 0.82],
  },
  standardised: {
    accuracy: 0.2648,
    precision: [0.35, 0.17, 0.31, 0.28, 0.28, 0.28, 0.18],
    recall: [0.34, 0.19, 0.28, 0.24, 0.31, 0.28, 0.19],
    specificity: [0.88, 0.89, 0.88, 0.89, 0.87, 0.86, 0.86],
  },
  standardisedRemoval: {
    accuracy: 0.2745,
    precision: [0.35, 0.18, 0.33, 0.34, 0.31, 0.23, 0.2],
    recall: [0.37, 0.16, 0.29, 0.25, 0.34, 0.22, 0.28],
    specificity: [0.88, 0.91, 0.89, 0.92, 0.88, 0.86, 0.81],
  },
  cnn: {
    accuracy: 0.3703,
    precision: [0.44, 0.42, 0.4, 0.35, 0.43, 0.32, 0.35],
    recall: [0.51, 0.45, 0.46, 0.32, 0.38, 0.22, 0.29],
    specificity: [0.83, 0.92, 0.88, 0.89, 0.91, 0.92, 0.9],
  },
  resnet50: {
    accuracy: 0.4474,
    precision: [0.5, 0.46, 0.57, 0.48, 0.53, 0.36, 0.3],
    recall: [0.45, 0.39, 0.53, 0.44, 0.56, 0.41, 0.36],
    specificity: [0.92, 0.95, 0.93, 0.91, 0.91, 0.87, 0.85],
  },
} as const satisfies Record<string, PaperClasses>;

/** Paper 003, Table 2. */
export const SFEW_TRANSFER = {
  resnet18: { frozen: '29.03 %', tuned: '42.97 %' },
  resnet50: { frozen: '34.07 %', tuned: '44.74 %' },
  resnet101: { frozen: '34.67 %', tuned: '41.93 %' },
} as const;

/** Paper 002, Table I: rows as printed, anger to neutral; they do not add up to 1. */
export const FER_CONFUSION: readonly (readonly number[])[] = [
  [0.59, 0.04, 0.21, 0.04, 0.12, 0.03, 0.07],
  [0.06, 0.69, 0.05, 0.06, 0.03, 0.03, 0.04],
  [0.03, 0.02, 0.61, 0.04, 0.13, 0.02, 0.15],
  [0.03, 0.01, 0.03, 0.81, 0.03, 0.03, 0.06],
  [0.02, 0.02, 0.11, 0.02, 0.71, 0.1, 0.06],
  [0.04, 0.01, 0.21, 0.06, 0.03, 0.61, 0.04],
  [0.08, 0.01, 0.07, 0.07, 0.05, 0.02, 0.7],
];

/** Paper 004, Table 6 (Oulu-CASIA): recall of anger, disgust, fear, happy, sad, surprise, and accuracy, in percent. */
export const MFF_ABLATIONS = {
  mffCnn: { parameters: '1.21 M', rates: [93.46, 93.83, 98.5, 99.92, 94.67, 98.67], accuracy: 96.51 },
  mffCnnHighLevel: { parameters: '0.02 M', rates: [70.69, 83.89, 86.39, 96.53, 82.22, 96.25], accuracy: 86.0 },
  mffCnnConcatenated: { parameters: '1.21 M', rates: [92.17, 93.54, 98.42, 99.96, 94.7, 98.88], accuracy: 96.26 },
  mffCnnUnselected: { parameters: '1.22 M', rates: [91.04, 92.67, 98.46, 99.83, 94.67, 98.88], accuracy: 95.92 },
} as const;

/** Paper 004, Figs. 4 to 6: recall by class in percent, and Tables 2 to 4: accuracy. */
export const MFF_RATES = {
  'CK+': { rates: [97.33, 99.32, 98.8, 99.9, 95.71, 99.36], accuracy: 98.8 },
  JAFFE: { rates: [98.83, 95.78, 95.27, 98.27, 92.78, 98.29], accuracy: 96.52 },
  'Oulu-CASIA': { rates: [93.46, 93.83, 98.5, 99.92, 94.67, 98.67], accuracy: 96.51 },
} as const;
