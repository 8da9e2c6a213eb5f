// Histograms of oriented gradients with 31 channels a cell, as in Felzenszwalb et al. 2010 (section 6.1) without its
// truncation channel: 18 signed orientations, 9 unsigned ones, 4 energies. Called by kcf.ts for every face and scale of every
// frame, so gradients are looked up in tables and nothing is allocated inside the loops.
// The rule easy to break: a pixel's gradient reads its four neighbours, so the outermost pixels have none.

/** Channels of a cell. */
export const HOG_CHANNELS = 31;
/** Pixels of a cell's side. */
export const HOG_CELL = 4;

const SIGNED = 18;
const UNSIGNED = 9;
/** A normalised histogram's entry counts at most this much. */
const CLIP = 0.2;
/** 1 / sqrt(18), so that an energy channel weighs about as much as an orientation. */
const ENERGY_WEIGHT = 0.2357;
const EPS = 1e-4;

/** Gradients of bytes lie in -255..255; tables over both components hold 512 x 512 entries. */
const SPAN = 512;
const CENTRE = 256;

interface GradientTables {
  /** Signed orientation 0..17 of the gradient; the nearest of 18 directions, the lower one for upright gradients. */
  readonly orientation: Uint8Array;
  readonly magnitude: Float32Array;
}

let tables: GradientTables | undefined;

function gradientTables(): GradientTables {
  if (tables) return tables;
  const orientation = new Uint8Array(SPAN * SPAN);
  const magnitude = new Float32Array(SPAN * SPAN);
  for (let dy = -255; dy <= 255; dy += 1) {
    for (let dx = -255; dx <= 255; dx += 1) {
      const at = (dy + CENTRE) * SPAN + dx + CENTRE;
      const turn = Math.atan2(dy, dx) / (2 * Math.PI);
      orientation[at] = Math.ceil((turn < 0 ? turn + 1 : turn) * SIGNED - 0.5) % SIGNED;
      magnitude[at] = Math.sqrt(dx * dx + dy * dy);
    }
  }
  tables = { orientation, magnitude };
  return tables;
}

/** Between which cells (of a bordered row of them) each of `side` pixels lies, and the second one's share. */
function cellShares(side: number): { cell: Int32Array; share: Float32Array } {
  // Cell centres lie at (cell + 0.5) * HOG_CELL; +1 for the border.
  const at = Float64Array.from({ length: side }, (_, pixel) => (pixel + 0.5) / HOG_CELL + 0.5);
  return { cell: Int32Array.from(at, Math.floor), share: Float32Array.from(at, (value) => value - Math.floor(value)) };
}

/** Histograms and energies of one size of patch, used again for every patch. */
export class Hog {
  /** Cells of a side. */
  readonly cells: number;
  readonly #side: number;
  readonly #shares: ReturnType<typeof cellShares>;
  /** [cells + 2, cells + 2, 18], with a border of one cell. */
  readonly #histograms: Float32Array;
  readonly #energy: Float32Array;

  /** @param cells at least 1; a patch has cells * HOG_CELL pixels a side. */
  constructor(cells: number) {
    this.cells = cells;
    this.#side = cells * HOG_CELL;
    this.#shares = cellShares(this.#side);
    const bordered = cells + 2;
    this.#histograms = new Float32Array(bordered * bordered * SIGNED);
    this.#energy = new Float32Array(bordered * bordered);
  }

  /**
   * The 31 channels of every cell, row by row.
   * @param pixels a grey patch of cells * HOG_CELL pixels a side.
   * @param out the channels of cell i go to out[offset + i * stride ...].
   */
  describe(pixels: Uint8Array, out: Float32Array, offset = 0, stride = HOG_CHANNELS): void {
    this.#accumulate(pixels);
    this.#measure();
    for (let y = 0; y < this.cells; y += 1) {
      for (let x = 0; x < this.cells; x += 1) this.#cell(x, y, out, offset + (y * this.cells + x) * stride);
    }
  }

  /** Sums each pixel's gradient into the histograms of the four nearest cells. */
  #accumulate(pixels: Uint8Array): void {
    const { orientation, magnitude } = gradientTables();
    const histograms = this.#histograms.fill(0);
    const { cell, share } = this.#shares;
    const side = this.#side;
    const row = (this.cells + 2) * SIGNED;
    for (let y = 1; y < side - 1; y += 1) {
      const top = cell[y]! * row;
      const fy = share[y]!;
      for (let x = 1; x < side - 1; x += 1) {
        const p = y * side + x;
        const dx = pixels[p + 1]! - pixels[p - 1]!;
        const dy = pixels[p + side]! - pixels[p - side]!;
        const at = (dy + CENTRE) * SPAN + dx + CENTRE;
        const strength = magnitude[at]!;
        const fx = share[x]!;
        const to = top + cell[x]! * SIGNED + orientation[at]!;
        const lower = strength * fy;
        const upper = strength - lower;
        const lowerRight = lower * fx;
        const upperRight = upper * fx;
        histograms[to]! += upper - upperRight;
        histograms[to + SIGNED]! += upperRight;
        histograms[to + row]! += lower - lowerRight;
        histograms[to + row + SIGNED]! += lowerRight;
      }
    }
  }

  /** Energy of every cell: the squared unsigned histogram, summed; the border repeats its neighbours. */
  #measure(): void {
    const bordered = this.cells + 2;
    const energy = this.#energy;
    const histograms = this.#histograms;
    for (let y = 1; y <= this.cells; y += 1) {
      for (let x = 1; x <= this.cells; x += 1) {
        const at = (y * bordered + x) * SIGNED;
        let sum = 0;
        for (let o = 0; o < UNSIGNED; o += 1) {
          const both = histograms[at + o]! + histograms[at + o + UNSIGNED]!;
          sum += both * both;
        }
        energy[y * bordered + x] = sum;
      }
      energy[y * bordered] = energy[y * bordered + 1]!;
      energy[y * bordered + this.cells + 1] = energy[y * bordered + this.cells]!;
    }
    energy.copyWithin(0, bordered, 2 * bordered);
    energy.copyWithin((bordered - 1) * bordered, (bordered - 2) * bordered, (bordered - 1) * bordered);
  }

  /** 1 / norm of the 2x2 cells whose left upper one is at `at` (bordered). */
  #inverse(at: number): number {
    const e = this.#energy;
    const below = at + this.cells + 2;
    return 1 / Math.sqrt(e[at]! + e[at + 1]! + e[below]! + e[below + 1]! + EPS);
  }

  #cell(x: number, y: number, out: Float32Array, to: number): void {
    const bordered = this.cells + 2;
    const at = (y + 1) * bordered + x + 1;
    const n1 = this.#inverse(at);
    const n2 = this.#inverse(at - 1);
    const n3 = this.#inverse(at - bordered);
    const n4 = this.#inverse(at - bordered - 1);
    const histograms = this.#histograms;
    const from = at * SIGNED;
    let t1 = 0;
    let t2 = 0;
    let t3 = 0;
    let t4 = 0;
    for (let o = 0; o < SIGNED; o += 1) {
      const h = histograms[from + o]!;
      const h1 = Math.min(h * n1, CLIP);
      const h2 = Math.min(h * n2, CLIP);
      const h3 = Math.min(h * n3, CLIP);
      const h4 = Math.min(h * n4, CLIP);
      out[to + o] = 0.5 * (h1 + h2 + h3 + h4);
      t1 += h1;
      t2 += h2;
      t3 += h3;
      t4 += h4;
    }
    for (let o = 0; o < UNSIGNED; o += 1) {
      const h = histograms[from + o]! + histograms[from + o + UNSIGNED]!;
      out[to + SIGNED + o] =
        0.5 * (Math.min(h * n1, CLIP) + Math.min(h * n2, CLIP) + Math.min(h * n3, CLIP) + Math.min(h * n4, CLIP));
    }
    const energies = to + SIGNED + UNSIGNED;
    out[energies] = ENERGY_WEIGHT * t1;
    out[energies + 1] = ENERGY_WEIGHT * t2;
    out[energies + 2] = ENERGY_WEIGHT * t3;
    out[energies + 3] = ENERGY_WEIGHT * t4;
  }
}
