// A film for a browser's fake camera, made from one of face-api's photographs: the camera moves slowly to and fro, so that
// faces are followed and nobody is cut off. Used by the browser's tests and by scripts that take pictures of the page.
import { writeFile } from 'node:fs/promises';
import sharp from 'sharp';
import { type Photograph, photographPath } from '../faces/photographs';

export interface FilmOptions {
  readonly photograph: Photograph;
  /** The part of the photograph that is shown, in its pixels, of shape 4 : 3. */
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly frames: number;
}

/** Faces of sample6, from the hair to the shoulders. */
export const FOUR_FACES: FilmOptions = { photograph: 'sample6', left: 130, top: 60, width: 1640, frames: 24 };

/** Writes the film as JPEGs of 640x480 in a row, which Chromium takes for a camera and plays over and over. */
export async function writeFilm(path: string, options: FilmOptions): Promise<void> {
  const { photograph, left, top, width, frames } = options;
  const height = Math.round((width * 3) / 4);
  const whole = await sharp(photographPath(photograph)).raw().toBuffer({ resolveWithObject: true });
  const { info } = whole;
  const open = () => sharp(whole.data, { raw: { width: info.width, height: info.height, channels: 3 } });
  const pictures = Array.from({ length: frames }, (_, frame) => {
    const turn = (2 * Math.PI * frame) / frames;
    const region = {
      left: Math.max(0, Math.min(info.width - width, Math.round(left + 60 * Math.sin(turn)))),
      top: Math.max(0, Math.min(info.height - height, Math.round(top + 30 * Math.sin(2 * turn)))),
      ...{ width, height },
    };
    return open().extract(region).resize(640, 480).jpeg({ quality: 88 }).toBuffer();
  });
  await writeFile(path, Buffer.concat(await Promise.all(pictures)));
}
