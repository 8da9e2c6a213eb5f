// The process whose peak of memory is measured: takes the steps of one memory row and prints its own peak in bytes. Started
// by memory.ts with the row's id and the number of threads. The rule easy to break: nothing large is loaded here that a
// program that trains would not load.
import { contend } from '../src/cli/bench/ours';
import { timedRow } from './memory';

const STEPS = 3;

async function main(id: string, threads: number): Promise<void> {
  const ours = contend(timedRow(id).build(), { device: 'cpu', threads });
  await ours.sample(STEPS);
  ours.dispose();
  // maxRSS is in kilobytes.
  process.stdout.write(String(process.resourceUsage().maxRSS * 1024));
}

void main(process.argv[2]!, Number(process.argv[3]));
