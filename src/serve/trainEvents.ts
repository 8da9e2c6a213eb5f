// A line of a metrics.jsonl as an event whose every field has its type. runFollower.ts is its caller. The rule easy to
// break: numbers that are missing, no numbers or too large to draw become NaN, which the figures leave out, and lists are cut to a length that
// can be drawn.
import type { ClassScores, Evaluation, TrainEvent, UnitMetrics } from '../report/events';

const MAX_UNITS = 512;
const MAX_CLASSES = 256;
const MAX_TEXT = 500;
/** A chart's scale is a difference of values, which must stay finite. */
const LARGEST = 1e100;

type Fields = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const number = (value: unknown): number =>
  typeof value === 'number' && Math.abs(value) <= LARGEST ? value : Number.NaN;
const text = (value: unknown): string => (typeof value === 'string' ? value.slice(0, MAX_TEXT) : '');
const list = (value: unknown, most: number): Fields[] =>
  Array.isArray(value) ? value.slice(0, most).filter(isObject) : [];

/** An optional share under its own name, or nothing. */
function optional<K extends string>(fields: Fields, key: K): { [P in K]?: number } {
  const value = number(fields[key]);
  return Number.isFinite(value) ? ({ [key]: value } as { [P in K]?: number }) : {};
}

function unit(fields: Fields): UnitMetrics {
  return {
    name: text(fields.name),
    loss: number(fields.loss),
    x: number(fields.x),
    y: number(fields.y),
    hsicX: number(fields.hsicX),
    hsicY: number(fields.hsicY),
    ckaX: number(fields.ckaX),
    ckaY: number(fields.ckaY),
    effectiveRank: number(fields.effectiveRank),
  };
}

function classScores(fields: Fields): ClassScores {
  return {
    name: text(fields.name),
    precision: number(fields.precision),
    recall: number(fields.recall),
    specificity: number(fields.specificity),
    support: number(fields.support),
  };
}

/** An evaluation whose confusion matrix is a square of its classes, or nothing. */
function evaluation(value: unknown): { evaluation?: Evaluation } {
  if (!isObject(value)) return {};
  const classes = list(value.classes, MAX_CLASSES).map(classScores);
  const rows: unknown = value.confusion;
  const isRow = (row: unknown): boolean => Array.isArray(row) && row.length === classes.length;
  if (!Array.isArray(rows) || classes.length === 0 || rows.length !== classes.length || !rows.every(isRow)) return {};
  const confusion = rows.map((row: unknown[]) => row.map(number));
  const { accuracy, balancedAccuracy, macroF1 } = value;
  return {
    evaluation: {
      accuracy: number(accuracy),
      balancedAccuracy: number(balancedAccuracy),
      macroF1: number(macroF1),
      ...{ confusion, classes },
    },
  };
}

/** The event in a line, or undefined. Losses of single units, which nothing shows, are left out. */
export function parseTrainEvent(line: string): TrainEvent | undefined {
  let fields: unknown;
  try {
    fields = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (!isObject(fields)) return undefined;
  const place = { epoch: number(fields.epoch), step: number(fields.step), loss: number(fields.loss) };
  const imagesPerSecond = number(fields.imagesPerSecond);
  const seconds = number(fields.seconds);
  switch (fields.event) {
    case 'note':
      return { event: 'note', text: text(fields.text) };
    case 'step':
      return {
        event: 'step',
        ...place,
        losses: [],
        imagesPerSecond,
        learningRate: number(fields.learningRate),
        etaSeconds: number(fields.etaSeconds),
      };
    case 'epoch':
      return {
        event: 'epoch',
        ...place,
        trainAccuracy: number(fields.trainAccuracy),
        ...optional(fields, 'validationAccuracy'),
        ...optional(fields, 'testAccuracy'),
        ...evaluation(fields.evaluation),
        units: list(fields.units, MAX_UNITS).map(unit),
        imagesPerSecond,
        seconds,
      };
    case 'end':
      return {
        event: 'end',
        ...place,
        ...optional(fields, 'testAccuracy'),
        run: text(fields.run),
        seconds,
        imagesPerSecond,
        ...evaluation(fields.evaluation),
        interrupted: fields.interrupted === true,
      };
    default:
      return undefined;
  }
}
