// Makes this process run device `cuda` on the software device (docs/softcuda.md), whatever card the machine has, and shows
// what happened there. Import it before anything compiles. Used by every test of this folder.
// The rule easy to break: a machine without nvcc skips these tests and says so; one with nvcc may never skip them.
import { createRequire } from 'node:module';
import path from 'node:path';
import { devices } from '../../src/compile';
import { build, built, type Report } from '../softcuda/client';
import { hasNvcc } from '../softcuda/nvcc';

interface Probe {
  configure(settings: string): number;
  snapshot(): string;
  reset(): void;
}

/** PTX that the newest of these devices can take; each test runs on all of them. */
export const images = hasNvcc ? (['ptx75', 'ptx80', 'ptx120'] as const) : [];

function start(): Probe | undefined {
  if (!hasNvcc) return undefined;
  build();
  process.env.GRAMIAN_SOFTCUDA = '1';
  process.env.SOFTCUDA = 'capability=120';
  const cuda = devices().find(({ id }) => id === 'cuda');
  if (!cuda?.available) throw new Error(`[test] expected the software device, came: ${cuda?.reason}`);
  return createRequire(__filename)(path.join(built, 'softcuda_probe.node')) as Probe;
}

const probe = start();

/** The device of this process; only in tests that run when there are `images`. */
export function device(): Probe {
  if (!probe) throw new Error('[test] there is no software device without nvcc');
  return probe;
}

export function report(): Report {
  return JSON.parse(device().snapshot()) as Report;
}

/** From now on plans of this process run this image. */
export function useImage(image: string): void {
  process.env.GRAMIAN_CUDA_IMAGE = image;
}

/** What the software device found wrong so far, as readable lines. */
export function findings(): string[] {
  return report().findings.map(
    ({ check, where, message, file, line }) => `${check}: ${where}: ${message} (${file}:${line})`,
  );
}

/** What is alive on the device: allocations, pinned memory, modules, streams, events and graphs. */
export function alive(): number {
  const { liveAllocations, livePinned, liveObjects } = report().counters;
  return liveAllocations! + livePinned! + liveObjects!;
}

/** What is left beyond `known` once every disposed plan's backend has gone, which it does with its thread, a moment later. */
export async function settled(known = 0): Promise<number> {
  for (let i = 0; i < 100 && alive() > known; i++) await new Promise((resolve) => setTimeout(resolve, 5));
  return alive() - known;
}

/** Waits for the last backend to go, then drops what reports say of its kernels: they would grow with every module loaded. */
export async function forget(): Promise<void> {
  await settled();
  device().configure('forget');
}
