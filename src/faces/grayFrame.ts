// A frame in grey, from which patches of any size are cut. Made once a frame by stream.ts, for all faces. The rule easy to break:
// outside the frame lies its nearest edge pixel.
import { sample } from '../pixels';
import { checkImage } from './image';
import { Pyramid } from './pyramid';
import { interpolation } from './resize';
import type { Image } from './types';

export class GrayFrame {
  readonly width: number;
  readonly height: number;
  readonly #pyramid: Pyramid;

  /**
   * The image's pixels must stay as they are while the frame is in use: they are read when a patch needs them.
   * Throws ArgumentError for an image whose numbers do not fit each other, as of() and show() do.
   */
  constructor(image: Image) {
    checkImage('GrayFrame', image);
    this.width = image.width;
    this.height = image.height;
    this.#pyramid = new Pyramid(image, { gray: true });
  }

  /** The next image, in the memory of the frame before where that is given and fits; that one ends then. */
  static of(image: Image, before?: GrayFrame): GrayFrame {
    return before?.show(image) ? before : new GrayFrame(image);
  }

  /** Becomes that of another image; false, and nothing done, where the images differ in shape. */
  show(image: Image): boolean {
    checkImage('GrayFrame', image);
    return this.#pyramid.show(image);
  }

  /** Lets go of the image; nothing may be cut before another one is shown. */
  release(): void {
    this.#pyramid.release();
  }

  /** Cuts the square of `side` frame pixels about (x, y) and scales it (bilinear) to `out`, count x count grey pixels. */
  patch(x: number, y: number, side: number, count: number, out: Uint8Array): void {
    const step = side / count;
    const half = side / 2;
    const level = this.#pyramid.level(step, { left: x - half, top: y - half, right: x + half, bottom: y + half });
    const at = (centre: number) => (i: number) => (centre + (i + 0.5 - count / 2) * step) / level.factor - 0.5;
    const columns = interpolation(count, level.width, at(x));
    sample(level, columns, interpolation(count, level.height, at(y)), out);
  }
}
