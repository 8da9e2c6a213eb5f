// Makes this process run device `cuda` on the software device (docs/softcuda.md), whatever card the machine has, and shows
// what happened there; with GRAMIAN_TEST_CARD=sm90,ptx80 it runs those images on the machine's card. Import it before anything
// compiles. Used by every test of this folder.
// The rule easy to break: a machine without nvcc skips these tests and says so; one with nvcc may never skip them. On a card
// nothing is counted or found, so what asks for that is skipped there (onCard).
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

const card = process.env.GRAMIAN_TEST_CARD?.split(',');
export const onCard = card !== undefined;

/** PTX that the newest of these devices can take, or the card's images; each test runs on all of them. */
export const images: readonly string[] = card ?? (hasNvcc ? ['ptx75', 'ptx80', 'ptx120'] : []);

function start(): Probe | undefined {
  if (!hasNvcc && !onCard) return undefined;
  if (!onCard) {
    build();
    process.env.GRAMIAN_SOFTCUDA = '1';
    process.env.SOFTCUDA = 'capability=120';
  }
  const cuda = devices().find(({ id }) => id === 'cuda');
  if (!cuda?.available) throw new Error(`[test] expected a device, came: ${cuda?.reason}`);
  if (onCard) return undefined;
  return createRequire(__filename)(path.join(built, 'softcuda_probe.node')) as Probe;
}

const probe = start();

/** The software device of this process; only in tests that run when there are `images`, and not on a card. */
export function device(): Probe {
  if (!probe) throw new Error('[test] there is no software device without nvcc, or on a card');
  return probe;
}

export function report(): Report {
  return JSON.parse(device().snapshot()) as Report;
}

/** From now on plans of this process run this image; on a card that was not given it, the first of those it was given. */
export function useImage(image: string): void {
  process.env.GRAMIAN_CUDA_IMAGE = card && !card.includes(image) ? card[0] : image;
}

/** What the software device found wrong so far, as readable lines. A card finds nothing. */
export function findings(): string[] {
  if (onCard) return [];
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
  if (onCard) return 0;
  for (let i = 0; i < 100 && alive() > known; i++) await new Promise((resolve) => setTimeout(resolve, 5));
  return alive() - known;
}

/** Waits for the last backend to go, then drops what reports say of its kernels: they would grow with every module loaded, and
 * tests of many plans would slow down. Nothing on a card. */
export async function forget(): Promise<void> {
  if (onCard) return;
  await settled();
  device().configure('forget');
}
