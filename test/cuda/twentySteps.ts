// CFPN with its local objectives at 48x48, batch 8, on the software device against the CPU for as many steps as asked for (20):
// npx tsx test/cuda/twentySteps.ts [STEPS]. Prints how far the losses are apart; fails beyond 1e-4. Too long for every test run.
import { cfpnSteps, furthest } from './compare';
import { findings, useImage } from './device';

async function main(steps: number): Promise<void> {
  useImage('ptx80');
  const far = furthest(await cfpnSteps(steps));
  const found = findings();
  console.log(`CFPN 48x48, batch 8, ${steps} steps: losses within ${far.toExponential(1)} (at most 1e-4)`, ...found);
  process.exitCode = far < 1e-4 && found.length === 0 ? 0 : 1;
}

void main(Number(process.argv[2] ?? 20));
