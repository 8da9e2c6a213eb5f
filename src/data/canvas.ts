// A small grey canvas with anti-aliased strokes, polygons and discs, on which faceRenderer.ts draws. Coordinates are
// pixels, the centre of the first pixel is (0.5, 0.5). The rule easy to break: every shape touches only its own box.

/** Points as x0, y0, x1, y1, ... */
export type Points = Float64Array;

/** 0 below -0.5, 1 above 0.5, straight between: the share of a pixel inside an edge at this distance. */
export function coverage(distance: number): number {
  return distance <= -0.5 ? 0 : distance >= 0.5 ? 1 : distance + 0.5;
}

/** Like Math.hypot, without its care for overflow, which costs ten times the rest. */
export function length(x: number, y: number): number {
  return Math.sqrt(x * x + y * y);
}

/** Squared distance from a point to the segment between points i and j. */
function segmentDistance2(points: Points, i: number, j: number, x: number, y: number): number {
  const ax = points[2 * i]!;
  const ay = points[2 * i + 1]!;
  const dx = points[2 * j]! - ax;
  const dy = points[2 * j + 1]! - ay;
  const length2 = dx * dx + dy * dy;
  let t = length2 > 0 ? ((x - ax) * dx + (y - ay) * dy) / length2 : 0;
  t = t < 0 ? 0 : t > 1 ? 1 : t;
  const ex = x - ax - t * dx;
  const ey = y - ay - t * dy;
  return ex * ex + ey * ey;
}

/** Signed distance to a closed polygon, positive inside (crossing number for the sign). */
function polygonDistance(points: Points, x: number, y: number): number {
  const count = points.length / 2;
  let nearest = Infinity;
  let inside = false;
  for (let i = 0, j = count - 1; i < count; j = i++) {
    nearest = Math.min(nearest, segmentDistance2(points, j, i, x, y));
    const yi = points[2 * i + 1]!;
    const yj = points[2 * j + 1]!;
    if (yi > y !== yj > y) {
      const crossing = points[2 * i]! + ((y - yi) / (yj - yi)) * (points[2 * j]! - points[2 * i]!);
      if (x < crossing) inside = !inside;
    }
  }
  return inside ? Math.sqrt(nearest) : -Math.sqrt(nearest);
}

export class Canvas {
  /** Grey values, 0 black to 1 white, row by row. */
  readonly pixels: Float32Array;

  constructor(readonly side: number) {
    this.pixels = new Float32Array(side * side);
  }

  /** Visits the centre of every pixel of the points' box, widened by `margin`. */
  #each(points: Points, margin: number, visit: (x: number, y: number, index: number) => void): void {
    let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
    for (let i = 0; i < points.length; i += 2) {
      left = Math.min(left, points[i]!);
      right = Math.max(right, points[i]!);
      top = Math.min(top, points[i + 1]!);
      bottom = Math.max(bottom, points[i + 1]!);
    }
    const x0 = Math.max(0, Math.floor(left - margin));
    const x1 = Math.min(this.side - 1, Math.ceil(right + margin));
    const y0 = Math.max(0, Math.floor(top - margin));
    const y1 = Math.min(this.side - 1, Math.ceil(bottom + margin));
    for (let y = y0; y <= y1; y++) {
      for (let x = x0; x <= x1; x++) visit(x + 0.5, y + 0.5, y * this.side + x);
    }
  }

  #blend(index: number, colour: number, opacity: number): void {
    const old = this.pixels[index]!;
    this.pixels[index] = old + (colour - old) * opacity;
  }

  /** A line through the points, `radius` pixels to each side. */
  stroke(points: Points, radius: number, colour: number, opacity = 1): void {
    this.#each(points, radius + 1, (x, y, index) => {
      let nearest = Infinity;
      for (let i = 1; i < points.length / 2; i++) nearest = Math.min(nearest, segmentDistance2(points, i - 1, i, x, y));
      const share = coverage(radius - Math.sqrt(nearest));
      if (share > 0) this.#blend(index, colour, share * opacity);
    });
  }

  /** A closed polygon. `soft` pixels of blur at its edge. */
  fill(points: Points, colour: number, opacity = 1, soft = 1): void {
    this.#each(points, soft, (x, y, index) => {
      const share = coverage(polygonDistance(points, x, y) / soft);
      if (share > 0) this.#blend(index, colour, share * opacity);
    });
  }

  /** The part of a disc that lies inside a polygon: an iris behind its lids. */
  discInside(points: Points, cx: number, cy: number, radius: number, colour: number): void {
    this.#each(points, 1, (x, y, index) => {
      const disc = coverage(radius - length(x - cx, y - cy));
      if (disc > 0) this.#blend(index, colour, disc * coverage(polygonDistance(points, x, y)));
    });
  }
}
