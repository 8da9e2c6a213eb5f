// Small slow references for the features, each written from its definition and sharing no code with src/features.
import { Random } from '../../src/data/random';
import type { GrayImage } from '../../src/features/matrix';

/** Eigenvalues (largest first) and eigenvectors (rows) of a symmetric matrix by Jacobi's rotations. */
export function jacobi(matrix: readonly (readonly number[])[]): { values: number[]; vectors: number[][] } {
  const n = matrix.length;
  const a = matrix.map((row) => [...row]);
  const v = a.map((_, i) => a.map((__, j) => (i === j ? 1 : 0)));
  for (let sweep = 0; sweep < 100; sweep++) {
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        if (a[p]![q] === 0) continue;
        const angle = 0.5 * Math.atan2(2 * a[p]![q]!, a[q]![q]! - a[p]![p]!);
        const [c, s] = [Math.cos(angle), Math.sin(angle)];
        for (let k = 0; k < n; k++) {
          const [x, y] = [a[k]![p]!, a[k]![q]!];
          a[k]![p] = c * x - s * y;
          a[k]![q] = s * x + c * y;
        }
        for (const rows of [a, v]) {
          const [x, y] = [rows[p]!, rows[q]!];
          rows[p] = x.map((value, k) => c * value - s * y[k]!);
          rows[q] = x.map((value, k) => s * value + c * y[k]!);
        }
      }
    }
  }
  const order = a.map((_, i) => i).sort((i, j) => a[j]![j]! - a[i]![i]!);
  return { values: order.map((i) => a[i]![i]!), vectors: order.map((i) => v[i]!) };
}

/** The rule of signs: the entry largest in size is positive. */
export function signed(vector: readonly number[]): number[] {
  const sizes = vector.map(Math.abs);
  const top = vector[sizes.indexOf(Math.max(...sizes))]!;
  return vector.map((value) => (top < 0 ? -value : value));
}

/** A picture with texture: sines of several directions and some noise, as bytes. */
export function texture(height: number, width: number, seed: number): GrayImage {
  const random = new Random(seed, 0x7e57);
  const waves = Array.from({ length: 6 }, () => [random.between(-1, 1), random.between(-1, 1), random.between(0, 6)]);
  const pixels = Uint8Array.from({ length: height * width }, (_, at) => {
    const [y, x] = [Math.floor(at / width), at % width];
    const sum = waves.reduce((total, [a, b, c]) => total + Math.sin(a! * y + b! * x + c!), 0);
    return Math.max(0, Math.min(255, Math.round(128 + 25 * sum + 12 * random.normal())));
  });
  return { height, width, pixels };
}

export function pixel({ height, width, pixels }: GrayImage, y: number, x: number): number {
  return pixels[Math.min(height - 1, Math.max(0, y)) * width + Math.min(width - 1, Math.max(0, x))]!;
}
