// The six photographs that face-api comes with, and face-api's own answers for them, frozen in faceApiBoxes.json by
// `npx tsx bench/faces.ts boxes`. Used by the tests of detectors, networks and tracker, and by bench/faces.ts.
import { createRequire } from 'node:module';
import path from 'node:path';
import sharp from 'sharp';
import type { Box, Image } from '../../src/faces/types';
import boxes from './faceApiBoxes.json';

export const PHOTOGRAPHS = ['sample1', 'sample2', 'sample3', 'sample4', 'sample5', 'sample6'] as const;
export type Photograph = (typeof PHOTOGRAPHS)[number];

/** x, y, width, height and score of each face. */
type Frozen = readonly (readonly number[])[];

const folder = path.dirname(createRequire(__filename).resolve('@vladmandic/face-api/package.json'));

export function photographPath(name: Photograph): string {
  return path.join(folder, 'demo', `${name}.jpg`);
}

export async function photograph(name: Photograph, channels: 1 | 3 = 3): Promise<Image> {
  const image = sharp(photographPath(name))
    .removeAlpha()
    .toColourspace(channels === 1 ? 'b-w' : 'srgb');
  const { data, info } = await image.raw().toBuffer({ resolveWithObject: true });
  return { pixels: new Uint8Array(data), width: info.width, height: info.height, channels };
}

/** face-api's faces: by its tiny detector at 512 or 416 pixels, or by its SSD. Best first. */
export function frozenFaces(name: Photograph, by: 'tiny512' | 'tiny416' | 'ssd'): { box: Box; score: number }[] {
  return (boxes[name][by] as Frozen).map(([x, y, width, height, score]) => ({
    box: { x: x!, y: y!, width: width!, height: height! },
    score: score!,
  }));
}
