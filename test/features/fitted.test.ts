// What is fitted to rows of features: PCA against Jacobi on the covariance matrix, the standardizer against its formula;
// files of both. Then patches and the selection by norm.
import { rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/data/random';
import { ArgumentError, CheckpointError, DataError, ShapeError } from '../../src/errors';
import {
  cutPatches,
  featureDataset,
  joinColumns,
  type Matrix,
  matrixOf,
  Pca,
  patchGrid,
  rowNorms,
  rowOf,
  Standardizer,
  selectByNorm,
} from '../../src/features';
import { saveSafetensors } from '../../src/train/safetensors';
import { tempFolder } from '../data/tempFolder';
import { jacobi, signed } from './reference';

const folder = tempFolder();

/** Rows of correlated numbers: a few hidden factors of different size and noise. */
function cloud(rows: number, columns: number, seed: number): Matrix {
  const random = new Random(seed);
  const factors = Array.from({ length: 3 }, () => Array.from({ length: columns }, () => random.normal()));
  return matrixOf(
    Array.from({ length: rows }, () => {
      const size = [5, 2, 1].map((scale) => scale * random.normal());
      return factors[0]!.map(
        (_, j) => 3 + j + size.reduce((sum, s, k) => sum + s * factors[k]![j]!, 0) + random.normal() / 4,
      );
    }),
  );
}

function covariance({ rows, columns, data }: Matrix): number[][] {
  const mean = Array.from({ length: columns }, (_, j) => {
    let sum = 0;
    for (let i = 0; i < rows; i++) sum += data[i * columns + j]! / rows;
    return sum;
  });
  return mean.map((a, j) =>
    mean.map((b, k) => {
      let sum = 0;
      for (let i = 0; i < rows; i++) sum += (data[i * columns + j]! - a) * (data[i * columns + k]! - b);
      return sum / (rows - 1);
    }),
  );
}

describe('Pca', () => {
  it.each([
    [40, 6, 'tall'],
    [7, 12, 'wide'],
  ])('%i rows of %i (%s): components and variances are those of the covariance', (rows, columns) => {
    const data = cloud(rows, columns, 11);
    const count = Math.min(rows - 1, columns) - 1;
    const pca = Pca.fit(data, count);
    const matrix = covariance(data);
    const { values, vectors } = jacobi(matrix);
    const total = matrix.reduce((sum, row, i) => sum + row[i]!, 0);
    expect(pca.totalVariance).toBeCloseTo(total, 9);
    for (let k = 0; k < count; k++) {
      expect(pca.explainedVariance[k]).toBeCloseTo(values[k]!, 9);
      expect(pca.explainedVarianceRatio[k]).toBeCloseTo(values[k]! / total, 10);
      for (const [j, value] of signed(vectors[k]!).entries()) expect(rowOf(pca.components, k)[j]).toBeCloseTo(value, 7);
    }
  });
  it('transforms to uncorrelated columns with the explained variances, centred', () => {
    const data = cloud(50, 5, 3);
    const pca = Pca.fit(data, 4);
    const scores = pca.transform(data);
    for (const [i, row] of covariance(scores).entries()) {
      for (const [j, value] of row.entries()) expect(value).toBeCloseTo(i === j ? pca.explainedVariance[i]! : 0, 9);
    }
    expect(scores.data.reduce((a, b) => a + b, 0)).toBeCloseTo(0, 9);
  });
  it('inverts: exactly with all components, by the least squares with fewer', () => {
    const data = cloud(20, 4, 5);
    const whole = Pca.fit(data, 4);
    const back = whole.inverse(whole.transform(data)).data;
    for (const [i, value] of data.data.entries()) expect(back[i]).toBeCloseTo(value, 10);
    const part = Pca.fit(data, 2);
    const error = part
      .inverse(part.transform(data))
      .data.reduce((sum, value, i) => sum + (value - data.data[i]!) ** 2, 0);
    const left = whole.explainedVariance[2]! + whole.explainedVariance[3]!;
    expect(error / 19).toBeCloseTo(left, 9);
  });
  it('gives the same signs for data turned around', () => {
    const data = cloud(30, 4, 8);
    const turned = { ...data, data: data.data.map((value) => -value) };
    const [a, b] = [Pca.fit(data, 3), Pca.fit(turned, 3)];
    for (const [i, value] of a.components.data.entries()) expect(b.components.data[i]).toBeCloseTo(value, 10);
  });
  it('finds the line of points on a line', () => {
    const pca = Pca.fit(
      matrixOf([
        [0, 0, 5],
        [3, -4, 5],
        [6, -8, 5],
      ]),
      1,
    );
    expect(pca.explainedVarianceRatio[0]).toBeCloseTo(1, 12);
    for (const [j, value] of [-0.6, 0.8, 0].entries()) expect(pca.components.data[j]).toBeCloseTo(value, 12);
  });
  it('refuses more components than there are directions', () => {
    const line = matrixOf([
      [0, 0, 5],
      [3, -4, 5],
      [6, -8, 5],
    ]);
    expect(() => Pca.fit(line, 2)).toThrow(DataError);
    expect(() => Pca.fit(line, 3)).toThrow(/1 to 2 components for \[3, 3\], got 3/);
    for (const count of [0, 1.5, Number.NaN]) expect(() => Pca.fit(line, count)).toThrow(ArgumentError);
    expect(() =>
      Pca.fit(
        matrixOf([
          [1, 2],
          [1, 2],
          [1, 2],
        ]),
        1,
      ),
    ).toThrow(/vary in 1 directions, got 0/);
    expect(() =>
      Pca.fit(
        matrixOf([
          [1, Number.NaN],
          [1, 2],
        ]),
        1,
      ),
    ).toThrow(/finite numbers, got NaN in row 0, column 1/);
    const pca = Pca.fit(line, 1);
    expect(() => pca.transform(matrixOf([[1, 2]]))).toThrow(ShapeError);
    expect(() => pca.inverse(matrixOf([[1, 2]]))).toThrow(ShapeError);
  });
});

describe('featureDataset', () => {
  const images = {
    name: 'two',
    images: Uint8Array.of(1, 2),
    labels: Int32Array.of(1, 0),
    count: 2,
    height: 1,
    width: 1,
  };
  const rest = { channels: 1, classes: ['a', 'b'], synthetic: true, groups: ['x', 'y'] };
  it('has a row for each image, with its label and group', () => {
    const rows = matrixOf([
      [1, 2, 3],
      [4, 5, 0.1],
    ]);
    expect(featureDataset({ ...images, ...rest }, rows)).toEqual({
      ...{
        name: 'two',
        labels: Int32Array.of(1, 0),
        count: 2,
        classes: ['a', 'b'],
        synthetic: true,
        groups: ['x', 'y'],
      },
      ...{ rows: Float32Array.of(1, 2, 3, 4, 5, 0.1), columns: 3 },
    });
  });
  it('refuses another number of rows', () => {
    expect(() => featureDataset({ ...images, ...rest }, matrixOf([[1]]))).toThrow(
      /a row for each of 2 images of two, got 1/,
    );
  });
});

describe('Standardizer', () => {
  it('gives columns of mean 0 and variance 1, and takes test rows by the training ones', () => {
    const data = cloud(30, 4, 2);
    const fitted = Standardizer.fit(data);
    const out = fitted.transform(data);
    for (let j = 0; j < 4; j++) {
      const column = Array.from({ length: 30 }, (_, i) => out.data[i * 4 + j]!);
      expect(column.reduce((a, b) => a + b) / 30).toBeCloseTo(0, 12);
      expect(column.reduce((a, b) => a + b * b, 0) / 30).toBeCloseTo(1, 12);
    }
    const test = fitted.transform(matrixOf([[...fitted.mean]]));
    expect([...test.data]).toEqual([0, 0, 0, 0]);
    const back = fitted.inverse(out).data;
    for (const [i, value] of data.data.entries()) expect(back[i]).toBeCloseTo(value, 12);
  });
  it('by hand', () => {
    const fitted = Standardizer.fit(
      matrixOf([
        [1, 10],
        [3, 10],
        [5, 10],
      ]),
    );
    expect([...fitted.mean, ...fitted.scale]).toEqual([3, 10, Math.sqrt(8 / 3), 1]);
  });
  it('makes a constant column 0 also where its mean is not exact', () => {
    const rows = Array.from({ length: 10 }, () => [0.1, 1e17]);
    const fitted = Standardizer.fit(matrixOf(rows));
    expect([...fitted.scale]).toEqual([1, 1]);
    expect(new Set(fitted.transform(matrixOf(rows)).data)).toEqual(new Set([0]));
    expect([...fitted.transform(matrixOf([[0.6, 1e17]])).data]).toEqual([0.5, 0]);
  });
  it('refuses other columns and numbers that are not finite', () => {
    const fitted = Standardizer.fit(
      matrixOf([
        [1, 2],
        [3, 4],
      ]),
    );
    expect(() => fitted.transform(matrixOf([[1]]))).toThrow(/expected 2 columns as when fitted, got 1/);
    expect(() => Standardizer.fit(matrixOf([[Number.POSITIVE_INFINITY]]))).toThrow(ArgumentError);
  });
});

describe('files', () => {
  it('bring back the same bits', async () => {
    const data = cloud(12, 5, 4);
    const [pca, standardizer] = [Pca.fit(data, 3), Standardizer.fit(data)];
    const paths = [join(folder, 'pca.safetensors'), join(folder, 'standardizer.safetensors')] as const;
    await pca.save(paths[0]);
    await standardizer.save(paths[1]);
    expect(await Pca.load(paths[0])).toEqual(pca);
    expect(await Standardizer.load(paths[1])).toEqual(standardizer);
    await pca.save(join(folder, 'again.safetensors'));
    expect(await readFile(paths[0])).toEqual(await readFile(join(folder, 'again.safetensors')));
  });
  it('of another kind, damaged, or changed are refused', async () => {
    const path = join(folder, 'pca.safetensors');
    await expect(Standardizer.load(path)).rejects.toThrow(/expected a file of kind standardizer, got pca/);
    const bytes = await readFile(path);
    bytes[bytes.length - 3]! ^= 1;
    writeFileSync(path, bytes);
    await expect(Pca.load(path)).rejects.toThrow(CheckpointError);
    rmSync(path);
    await expect(Pca.load(path)).rejects.toThrow(/cannot be read/);
    const wide = { shape: [3], data: new Float64Array(3) };
    const narrow = { shape: [2], data: new Float64Array(2) };
    const write = (tensors: Parameters<typeof saveSafetensors>[1]) =>
      saveSafetensors(path, tensors, { features: 'standardizer' });
    await write({ mean: wide, scale: narrow });
    await expect(Standardizer.load(path)).rejects.toThrow(/"scale" has the shape \[2\]/);
    await write({ mean: wide });
    await expect(Standardizer.load(path)).rejects.toThrow(/"scale" is missing/);
    await write({ mean: wide, scale: wide, more: wide });
    await expect(Standardizer.load(path)).rejects.toThrow(/"more" does not belong here/);
    await write({ mean: wide, scale: { shape: [3], data: new Float32Array(3) } });
    await expect(Standardizer.load(path)).rejects.toThrow(/does not hold finite float64/);
  });
});

describe('patches', () => {
  it('have the edge and step of the paper', () => {
    expect(patchGrid(60, 60, 4)).toEqual({ rows: 4, columns: 4, height: 24, width: 24, stepDown: 12, stepRight: 12 });
    expect(patchGrid(48, 96, [2, 3], 0)).toEqual({
      rows: 2,
      columns: 3,
      height: 24,
      width: 32,
      stepDown: 24,
      stepRight: 32,
    });
    expect(patchGrid(5, 7, 1)).toMatchObject({ height: 5, width: 7 });
  });
  it('are cut where the grid says, for any geometry', () => {
    const overlaps = [
      [0, 1],
      [0.5, 2],
      [0.75, 4],
    ] as const;
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 3 }),
        fc.constantFrom(...overlaps),
        fc.integer({ min: 1, max: 3 }),
        (rows, columns, step, [overlap, steps], channels) => {
          const edge = steps * step;
          const [height, width] = [edge + (rows - 1) * step, edge + (columns - 1) * step];
          const grid = patchGrid(height, width, [rows, columns], overlap);
          expect(grid).toMatchObject({ height: edge, width: edge });
          const value = (n: number, y: number, x: number, c: number) => ((n * height + y) * width + x) * channels + c;
          const images = Float64Array.from({ length: 2 * height * width * channels }, (_, i) => i);
          const found = cutPatches(images, [2, height, width, channels], grid);
          const wanted: number[] = [];
          for (let n = 0; n < 2; n++)
            for (let p = 0; p < rows * columns; p++)
              for (let y = 0; y < edge; y++)
                for (let x = 0; x < edge; x++)
                  for (let c = 0; c < channels; c++)
                    wanted.push(value(n, Math.floor(p / columns) * step + y, (p % columns) * step + x, c));
          expect([...found]).toEqual(wanted);
        },
      ),
      { numRuns: 60 },
    );
  });
  it('keep the kind of numbers, and do not hand out a Buffer', () => {
    const grid = patchGrid(2, 2, 2, 0);
    expect(cutPatches(Float32Array.of(1, 2, 3, 4), [1, 2, 2, 1], grid)).toEqual(Float32Array.of(1, 2, 3, 4));
    expect(cutPatches(Buffer.from([1, 2, 3, 4]), [1, 2, 2, 1], grid)).toEqual(Uint8Array.of(1, 2, 3, 4));
  });
  it('refuse what does not cover the image', () => {
    expect(() => patchGrid(48, 48, 4)).toThrow(/4 patches with an overlap of 0.5 to cover a height of 48 pixels/);
    expect(() => patchGrid(60, 60, 0)).toThrow(ArgumentError);
    for (const overlap of [-0.1, 1, Number.NaN]) expect(() => patchGrid(60, 60, 4, overlap)).toThrow(ArgumentError);
    const grid = patchGrid(60, 60, 4);
    expect(() => cutPatches(new Uint8Array(48 * 48), [1, 48, 48, 1], grid)).toThrow(/images of 60x60 for this grid/);
    expect(() => cutPatches(new Uint8Array(5), [1, 60, 60, 1], grid)).toThrow(ShapeError);
  });
});

describe('selectByNorm, joinColumns', () => {
  const vectors = matrixOf([
    [3, 4],
    [0, 1],
    [-6, 0],
    [0, 5],
    [2, 2],
  ]);
  it('keeps the longest rows in their order, the earlier of equal ones', () => {
    expect([...rowNorms(vectors)]).toEqual([5, 1, 6, 5, Math.sqrt(8)]);
    expect([...selectByNorm(vectors, 2)]).toEqual([0, 2]);
    expect([...selectByNorm(vectors, 3)]).toEqual([0, 2, 3]);
    expect([...selectByNorm(vectors, 5)]).toEqual([0, 1, 2, 3, 4]);
    for (const count of [0, 6, 1.5]) expect(() => selectByNorm(vectors, count)).toThrow(ArgumentError);
  });
  it('selects the 384 of 512 that the definition does', () => {
    const many = cloud(512, 9, 6);
    const kept = new Set(selectByNorm(many, 384));
    const squares = Array.from({ length: 512 }, (_, i) => rowOf(many, i).reduce((sum, value) => sum + value ** 2, 0));
    const border = [...squares].sort((a, b) => b - a)[383]!;
    expect(kept).toEqual(new Set(squares.flatMap((value, i) => (value >= border ? [i] : []))));
  });
  it('puts matrices side by side', () => {
    expect([
      ...joinColumns([
        matrixOf([[1], [2]]),
        matrixOf([
          [3, 4],
          [5, 6],
        ]),
      ]).data,
    ]).toEqual([1, 3, 4, 2, 5, 6]);
    expect(() => joinColumns([matrixOf([[1]]), matrixOf([[1], [2]])])).toThrow(ShapeError);
    expect(() => joinColumns([])).toThrow(ShapeError);
    expect(() => matrixOf([[1, 2], [3]])).toThrow(/rows of 2 numbers, got 1 in row 1/);
  });
});
