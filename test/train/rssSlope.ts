// Run by memory.test.ts in a process of its own: trains a tiny model for 600 epochs and prints the slope of resident
// memory over the last 500, by least squares, in bytes an epoch.
import { tinyTrainer } from './fixtures';

async function main(): Promise<void> {
  const trainer = tinyTrainer('cka');
  const samples: number[] = [];
  for (let epoch = 0; epoch < 600; epoch += 1) {
    await trainer.run(trainer.stepsPerEpoch);
    if (epoch % 10 === 0) globalThis.gc?.();
    if (epoch >= 100) samples.push(process.memoryUsage.rss());
  }
  trainer.dispose();
  const middle = (samples.length - 1) / 2;
  const level = samples.reduce((sum, value) => sum + value, 0) / samples.length;
  let covariance = 0;
  let variance = 0;
  for (const [index, value] of samples.entries()) {
    covariance += (index - middle) * (value - level);
    variance += (index - middle) ** 2;
  }
  process.stdout.write(`${JSON.stringify({ bytesPerEpoch: covariance / variance })}\n`);
}

void main();
