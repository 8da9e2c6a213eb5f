// torchvision's ResNet names on made files of the right shapes: a file in torchvision's form is written from a network of ours
// by the inverse rule, spelt out here, and read back.
import { describe, expect, it } from 'vitest';
import { compile } from '../../src/compile';
import { InterchangeError } from '../../src/errors';
import { Graph, sizeOf } from '../../src/graph/graph';
import { type ForeignTensors, fromTorchvision } from '../../src/interchange/torchvision';
import { modelNamed, resnet18, resnet50, resnet101 } from '../../src/models';

type Tensor = { shape: number[]; data: Float32Array | BigInt64Array };

/** conv1, bn1, layer1.0.conv1 ... with shapes, as torchvision's state dictionaries list them. */
function torchvisionShapes(blocks: readonly number[], bottleneck: boolean, width: number, classes: number) {
  const shapes: [string, number[]][] = [];
  const conv = (name: string, out: number, into: number, k: number) =>
    shapes.push([`${name}.weight`, [out, into, k, k]]);
  const bn = (name: string, channels: number) => {
    for (const word of ['weight', 'bias', 'running_mean', 'running_var']) shapes.push([`${name}.${word}`, [channels]]);
    shapes.push([`${name}.num_batches_tracked`, []]);
  };
  conv('conv1', width, 3, 7);
  bn('bn1', width);
  let channels = width;
  blocks.forEach((count, stage) => {
    const narrow = width * 2 ** stage;
    const out = bottleneck ? 4 * narrow : narrow;
    for (let index = 0; index < count; index += 1) {
      const name = `layer${stage + 1}.${index}`;
      const kernels = bottleneck ? [1, 3, 1] : [3, 3];
      let into = channels;
      kernels.forEach((k, one) => {
        const to = bottleneck && one === 2 ? out : narrow;
        conv(`${name}.conv${one + 1}`, to, into, k);
        bn(`${name}.bn${one + 1}`, to);
        into = to;
      });
      if (channels !== out || (stage > 0 && index === 0)) {
        conv(`${name}.downsample.0`, out, channels, 1);
        bn(`${name}.downsample.1`, out);
      }
      channels = out;
    }
  });
  shapes.push(['fc.weight', [classes, channels]], ['fc.bias', [classes]]);
  return shapes;
}

/** A file whose values are all different, so that an exchanged axis shows. */
function fileOf(shapes: readonly (readonly [string, readonly number[]])[]): Record<string, Tensor> {
  let next = 0;
  return Object.fromEntries(
    shapes.map(([name, shape]) => {
      if (shape.length === 0) return [name, { shape: [], data: BigInt64Array.of(5n) }];
      const data = Float32Array.from({ length: sizeOf(shape) }, () => {
        next += 1;
        return name.includes('var') ? 1 + (next % 7) / 8 : ((next * 2654435761) % 4093) / 4093 - 0.5;
      });
      return [name, { shape: [...shape], data }];
    }),
  );
}

const persistent = (build: (x: ReturnType<Graph['input']>) => unknown, side = 32): Map<string, readonly number[]> => {
  const graph = new Graph({ training: false });
  build(graph.input('image', [1, side, side, 3]));
  const kept = graph.tensors.filter(({ kind }) => kind === 'param' || kind === 'state');
  return new Map(kept.map(({ name, shape }) => [name, shape]));
};

describe.each([
  ['resnet18', [2, 2, 2, 2], false],
  ['resnet50', [3, 4, 6, 3], true],
  ['resnet101', [3, 4, 23, 3], true],
] as const)('%s', (name, blocks, bottleneck) => {
  it('has exactly the tensors of a torchvision file, in shape and name', () => {
    const narrow = { resnet18, resnet50, resnet101 }[name];
    const ours = persistent((x) => narrow(x, { classes: 10, width: 4 }));
    const theirs = fromTorchvision(fileOf(torchvisionShapes(blocks, bottleneck, 4, 10)) as ForeignTensors);
    expect(new Map(Object.entries(theirs).map(([key, { shape }]) => [key, shape]))).toEqual(ours);
  });

  it('at full width too', () => {
    const ours = persistent((x) => modelNamed(name)(x, { classes: 1000 }));
    const shapes = torchvisionShapes(blocks, bottleneck, 64, 1000).filter(([, shape]) => shape.length > 0);
    const turned = ([, shape]: readonly [string, readonly number[]]): string =>
      (shape.length === 4 ? [2, 3, 1, 0] : shape.length === 2 ? [1, 0] : [0]).map((axis) => shape[axis]).join('x');
    expect(shapes.map(turned).sort()).toEqual([...ours.values()].map((shape) => shape.join('x')).sort());
  });
});

describe('values', () => {
  const file = fileOf(torchvisionShapes([2, 2, 2, 2], false, 4, 10));
  const ours = fromTorchvision(file as ForeignTensors);

  it('filters go from OIHW to HWIO, the classifier is transposed', () => {
    const filter = ours['layer2/0/downsample/0/weight']!;
    const theirs = file['layer2.0.downsample.0.weight']!;
    expect(filter.shape).toEqual([1, 1, 4, 8]);
    for (let o = 0; o < 8; o += 1)
      for (let i = 0; i < 4; i += 1) expect(filter.data[i * 8 + o]).toBe(theirs.data[o * 4 + i]);
    const stem = ours['stem/conv1/weight']!;
    // Row 2, column 5, input 1, output 3.
    expect(stem.data[((2 * 7 + 5) * 3 + 1) * 4 + 3]).toBe(file['conv1.weight']!.data[((3 * 3 + 1) * 7 + 2) * 7 + 5]);
    expect(ours['head/fc/weight']!.data[5 * 10 + 7]).toBe(file['fc.weight']!.data[7 * 32 + 5]);
  });

  it('gains, offsets and statistics keep their numbers', () => {
    expect(ours['stem/bn1/gamma']!.data).toEqual(file['bn1.weight']!.data);
    expect(ours['stem/bn1/beta']!.data).toEqual(file['bn1.bias']!.data);
    expect(ours['layer4/1/bn2/running_variance']!.data).toEqual(file['layer4.1.bn2.running_var']!.data);
    expect(ours['head/fc/bias']!.data).toEqual(file['fc.bias']!.data);
  });

  it('answer, and without the classifier fit another number of classes', async () => {
    const graph = new Graph({ training: false });
    const x = graph.input('image', [2, 16, 16, 3]);
    const logits = resnet18(x, { classes: 10, width: 4 });
    using plan = compile(graph, { outputs: { logits } });
    for (const [name, { data }] of Object.entries(ours)) await plan.write(name, data);
    const { logits: scores } = await plan.step({ image: new Float32Array(2 * 16 * 16 * 3).fill(0.5) });
    expect(scores!.every(Number.isFinite)).toBe(true);
    const rest = fromTorchvision(file as ForeignTensors, { classifier: false });
    expect(Object.keys(ours).filter((name) => !Object.hasOwn(rest, name))).toEqual(['head/fc/weight', 'head/fc/bias']);
  });
});

describe('what is refused', () => {
  const one =
    (name: string, shape: readonly number[], data: unknown = new Float32Array(sizeOf(shape))) =>
    () =>
      fromTorchvision({ [name]: { shape, data } });
  it.each([
    ['another network', one('features.0.weight', [1, 1, 1, 1]), 'is no layer of a ResNet'],
    ['a word too many', one('conv1.weight.extra', [1]), 'is no weight of a ResNet'],
    ['another type', one('conv1.weight', [1], new Float64Array(1)), 'is no float32 tensor'],
    ['another size', one('conv1.weight', [2, 1, 1, 1], new Float32Array(1)), 'has 1 values for [2, 1, 1, 1]'],
    ['a cube', one('conv1.weight', [1, 1, 1]), 'has 3 dimensions'],
    ['a bare name', one('weight', [1]), 'is no layer of a ResNet'],
  ])('%s', (_, read, message) => {
    expect(read).toThrow(InterchangeError);
    expect(read).toThrow(message);
  });
});
