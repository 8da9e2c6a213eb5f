// The hand-made features of paper 003 end to end: LPQ and PHOG, principal components of each, standardised, in two halves
// trained and tested in turn. A nearest mean stands for the classifier; it must do far better than chance. Five
// components of each, as the paper has, are too few for these faces.
import { describe, expect, it } from 'vitest';
import { syntheticFaces } from '../../src/data/synthetic';
import { type ImageDataset, select } from '../../src/data/types';
import { type Fold, kFold } from '../../src/evaluation/folds';
import { summarizeRuns } from '../../src/evaluation/summary';
import { describeImages, joinColumns, lpq, type Matrix, Pca, phog, rowOf, Standardizer } from '../../src/features';
import { evaluate } from '../../src/train/metrics';

/** Both parts' features; everything is fitted to the training part. */
async function features(train: ImageDataset, test: ImageDataset): Promise<[Matrix, Matrix]> {
  const parts = await Promise.all(
    [[lpq({ blocks: [4, 4] }), 60] as const, [phog({ levels: 3, range: 180 }), 20] as const].map(
      async ([descriptor, components]) => {
        const rows = await describeImages(train, descriptor);
        const pca = Pca.fit(rows, components);
        return [pca.transform(rows), pca.transform(await describeImages(test, descriptor))] as const;
      },
    ),
  );
  const [fitted, other] = [joinColumns(parts.map((part) => part[0])), joinColumns(parts.map((part) => part[1]))];
  const standardizer = Standardizer.fit(fitted);
  return [standardizer.transform(fitted), standardizer.transform(other)];
}

function nearestMean(train: Matrix, labels: Int32Array, test: Matrix, classes: number): number[] {
  const means = Array.from({ length: classes }, (_, k) => {
    const rows = Array.from(labels.keys()).filter((i) => labels[i] === k);
    return Array.from({ length: train.columns }, (__, j) =>
      rows.reduce((sum, i) => sum + rowOf(train, i)[j]! / rows.length, 0),
    );
  });
  return Array.from({ length: test.rows }, (_, i) => {
    const distances = means.map((mean) => mean.reduce((sum, value, j) => sum + (rowOf(test, i)[j]! - value) ** 2, 0));
    return distances.indexOf(Math.min(...distances));
  });
}

async function score(faces: ImageDataset, fold: Fold) {
  const [train, test] = [select(faces, fold.train), select(faces, fold.test)];
  const [rows, others] = await features(train, test);
  const called = nearestMean(rows, train.labels, others, faces.classes.length);
  return evaluate(test.labels, called, faces.classes);
}

describe('LPQ, PHOG, PCA and standardisation together', () => {
  it('tell synthetic expressions apart better than chance', async () => {
    const shares = [1, 1, 1, 1, 1, 1, 1];
    const faces = await syntheticFaces({
      count: 420,
      seed: 2,
      shares,
      labelNoise: 0,
      occlusion: 0,
      light: 0.3,
      pose: 0.3,
    });
    const folds = kFold(faces, { folds: 2, stratified: true });
    const results = await Promise.all(
      folds.map(async (fold, k) => ({ seed: 1, fold: k, metrics: await score(faces, fold) })),
    );
    const { scores } = summarizeRuns(results);
    expect(scores.balancedAccuracy.mean).toBeGreaterThan(4 / 7);
  });
});
