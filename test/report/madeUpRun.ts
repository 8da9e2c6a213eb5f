// A made-up run for tests of the report: 35 units, four epochs or as many as asked, every number a smooth function of
// its place, so that nothing here needs the engine. Names carry what HTML and XML would trip over.
import type { EpochEvent, Evaluation, StepEvent, TrainEvent } from '../../src/report/events';
import type { ReportData } from '../../src/report/report';

export const classes = ['anger', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral'];

export function evaluationOf(names: readonly string[]): Evaluation {
  const confusion = names.map((_, row) =>
    names.map((__, column) => (row === column ? 80 + row : (row * 3 + column) % 7)),
  );
  return {
    accuracy: 0.8125,
    balancedAccuracy: 0.805,
    macroF1: 0.799,
    confusion,
    classes: names.map((name, index) => ({
      name,
      precision: 0.7 + index / 50,
      recall: 0.75 + index / 60,
      specificity: 0.95,
      support: 100 + index,
    })),
  };
}

function unitsAt(epoch: number, epochs: number, count: number): EpochEvent['units'] {
  const done = epoch / epochs;
  return Array.from({ length: count }, (_, index) => {
    const depth = index / Math.max(1, count - 1);
    const y = (0.08 + 0.75 * depth) * (1 - Math.exp(-3 * done)) + 0.02 * Math.sin(index * 7 + epoch);
    const x = (0.85 - 0.5 * depth) * (1 - 0.35 * done) + 0.02 * Math.cos(index * 5 + epoch);
    const name = index === count - 1 ? 'classifier' : `block${1 + Math.floor(index / 6)}/layer${(index % 6) + 1}`;
    const rank = 1 + 60 * (1 - depth) * (0.2 + 0.8 * Math.exp(-done));
    return { name, loss: x - 100 * y, x, y, hsicX: x / 40, hsicY: y / 90, ckaX: x, ckaY: y, effectiveRank: rank };
  });
}

export function madeUpEvents(epochs = 4, unitCount = 35, stepsPerEpoch = 50): TrainEvent[] {
  const events: TrainEvent[] = [{ event: 'note', text: 'made up' }];
  for (let epoch = 1; epoch <= epochs; epoch += 1) {
    for (let index = 1; index <= stepsPerEpoch; index += 1) {
      const step = (epoch - 1) * stepsPerEpoch + index;
      const loss = 3 * Math.exp((-2 * step) / (epochs * stepsPerEpoch)) + 0.3 * Math.sin(step * 1.7);
      const losses = Array.from({ length: unitCount }, (_, unit) => loss / (unit + 1));
      const made: StepEvent = {
        event: 'step',
        epoch: epoch - 1,
        step,
        loss,
        losses,
        imagesPerSecond: 512,
        learningRate: 0.001,
        etaSeconds: epochs * stepsPerEpoch - step,
      };
      events.push(made);
    }
    events.push({
      event: 'epoch',
      epoch: epoch - 1,
      step: epoch * stepsPerEpoch,
      loss: 3 * Math.exp((-2 * epoch) / epochs),
      trainAccuracy: 0.9 - 0.6 * Math.exp((-3 * epoch) / epochs),
      testAccuracy: 0.82 - 0.5 * Math.exp((-3 * epoch) / epochs),
      units: unitsAt(epoch, epochs, unitCount),
      imagesPerSecond: 500,
      seconds: 12,
    });
  }
  events.push({
    event: 'end',
    epoch: epochs,
    step: epochs * stepsPerEpoch,
    loss: 0.4,
    testAccuracy: 0.8125,
    run: 'runs/made-up',
    seconds: 12 * epochs,
    imagesPerSecond: 500,
    evaluation: evaluationOf(classes),
    interrupted: false,
  });
  return events;
}

function waves(height: number, width: number, channels: number): Float32Array {
  return Float32Array.from({ length: height * width * channels }, (_, place) => {
    const channel = place % channels;
    const x = Math.floor(place / channels) % width;
    const y = Math.floor(place / channels / width);
    return Math.sin((x * (1 + (channel % 5))) / 4) * Math.cos((y * (1 + (channel % 3))) / 4) + channel;
  });
}

export function madeUpRun(epochs = 4, unitCount = 35): ReportData {
  return {
    config: { model: 'cfpn', data: 'synthetic', method: 'hsic', objective: 'cka', beta: 100, epochs, seed: 1 },
    events: madeUpEvents(epochs, unitCount),
    evaluation: evaluationOf(classes),
    classes,
    labelCounts: { train: [400, 50, 410, 720, 480, 310, 500], test: [50, 6, 52, 90, 60, 40, 61] },
    featureMaps: [
      { name: 'block1/layer1', height: 48, width: 48, channels: 16, data: waves(48, 48, 16) },
      { name: 'block3/layer5', height: 12, width: 12, channels: 128, data: waves(12, 12, 128) },
      { name: 'fusion3', height: 3, width: 3, channels: 64, data: waves(3, 3, 64) },
    ],
    sample: { height: 48, width: 48, channels: 1, data: waves(48, 48, 1), label: 'happy', prediction: 'happy' },
  };
}
