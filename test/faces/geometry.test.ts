// Sizes, patches, cuts and overlaps against the definitions: the float64 interpreter's resize, areas added up pixel by pixel,
// ramps whose value is known everywhere, and suppression by trying all subsets in order.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ArgumentError } from '../../src/errors';
import { cropFaces, similarity } from '../../src/faces/crop';
import { GrayFrame } from '../../src/faces/grayFrame';
import { iou } from '../../src/faces/image';
import { Pyramid } from '../../src/faces/pyramid';
import { Recognizer } from '../../src/faces/recognizer';
import { resizeArea, resizeBilinear } from '../../src/faces/resize';
import { suppress } from '../../src/faces/suppress';
import type { Box, CropOptions, Image, Landmarks } from '../../src/faces/types';
import { references } from '../reference/interpreter';
import { fakeClassifier, fakeDetector } from './fakes';

function imageOf(width: number, height: number, channels: 1 | 3, seed: number): Image {
  let state = seed;
  const pixels = Uint8Array.from({ length: width * height * channels }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
  return { pixels, width, height, channels };
}

/** value(x, y) at every pixel centre. */
function painted(width: number, height: number, value: (x: number, y: number) => number): Image {
  const pixels = Uint8Array.from({ length: width * height }, (_, i) =>
    Math.round(value((i % width) + 0.5, Math.floor(i / width) + 0.5)),
  );
  return { pixels, width, height, channels: 1 };
}

const sizes: fc.Arbitrary<[number, number, number, number, 1 | 3, number]> = fc.tuple(
  fc.integer({ min: 1, max: 13 }),
  fc.integer({ min: 1, max: 13 }),
  fc.integer({ min: 1, max: 13 }),
  fc.integer({ min: 1, max: 13 }),
  fc.constantFrom(1, 3),
  fc.integer({ min: 1, max: 1000 }),
);

/** Rounding may fall either way where a value lies between two bytes. */
function expectRounded(actual: Uint8Array, expected: ArrayLike<number>): void {
  expect(actual.length).toBe(expected.length);
  actual.forEach((byte, index) => void expect(Math.abs(byte - expected[index]!)).toBeLessThan(0.5 + 1e-3));
}

describe('resizing', () => {
  it('bilinear is that of the reference', () => {
    fc.assert(
      fc.property(sizes, ([width, height, w, h, channels, seed]) => {
        const image = imageOf(width, height, channels, seed);
        const x = { shape: [1, height, width, channels], data: Float64Array.from(image.pixels) };
        const attrs = { mode: 'bilinear', coordinates: 'halfPixel' };
        const [expected] = references.get('resize')!([x], [[1, h, w, channels]], attrs);
        expectRounded(resizeBilinear(image, w, h).pixels, expected!.data);
      }),
      { numRuns: 200 },
    );
  });

  it('by area is the mean of every pixel cut into squares', () => {
    fc.assert(
      fc.property(sizes, ([width, height, w, h, channels, seed]) => {
        const image = imageOf(width, height, channels, seed);
        // Each pixel becomes w x h squares, of which each cell covers width x height.
        const expected = Array.from({ length: w * h * channels }, (_, at) => {
          const [c, cell] = [at % channels, Math.floor(at / channels)];
          const [cy, cx] = [Math.floor(cell / w), cell % w];
          let sum = 0;
          for (let y = cy * height; y < (cy + 1) * height; y += 1) {
            for (let x = cx * width; x < (cx + 1) * width; x += 1) {
              sum += image.pixels[(Math.floor(y / h) * width + Math.floor(x / w)) * channels + c]!;
            }
          }
          return sum / (width * height);
        });
        expectRounded(resizeArea(image, w, h).pixels, expected);
      }),
      { numRuns: 200 },
    );
  });

  it('refuses sizes that are none', () => {
    const image = imageOf(4, 4, 1, 1);
    for (const size of [0, 1.5, -1, 65_537, Number.NaN]) {
      expect(() => resizeArea(image, size, 4)).toThrow(ArgumentError);
      expect(() => resizeBilinear(image, 4, size)).toThrow(ArgumentError);
    }
    expect(() => resizeBilinear(image, 65_536, 65_536)).toThrow('at most 67108864 pixels');
  });
});

describe('GrayFrame', () => {
  it('is luma to half a grey level', () => {
    const image = imageOf(9, 5, 3, 7);
    const patch = new Uint8Array(25);
    new GrayFrame(image).patch(2.5, 2.5, 5, 5, patch);
    patch.forEach((gray, i) => {
      const p = 3 * (Math.floor(i / 5) * 9 + (i % 5));
      const [r, g, b] = image.pixels.slice(p, p + 3) as unknown as [number, number, number];
      expect(Math.abs(gray - (0.299 * r + 0.587 * g + 0.114 * b))).toBeLessThan(0.51);
    });
  });

  it.each([
    [30, 24, 12],
    [30.4, 23.7, 11],
    [32, 24, 40],
    [31.3, 22.6, 33.7],
  ])('cuts ramps about (%d, %d) of side %d', (x, y, side) => {
    const ramp = (px: number, py: number): number => 20 + 2 * px + 1.5 * py;
    const frame = new GrayFrame(painted(64, 48, ramp));
    const count = 8;
    const patch = new Uint8Array(count * count);
    frame.patch(x, y, side, count, patch);
    patch.forEach((value, i) => {
      const [u, v] = [(i % count) + 0.5 - count / 2, Math.floor(i / count) + 0.5 - count / 2];
      const [px, py] = [x + (u * side) / count, y + (v * side) / count];
      // Two roundings a level, and one of the patch.
      expect(Math.abs(value - ramp(px, py))).toBeLessThan(1.6);
    });
  });

  it('repeats its edges', () => {
    const frame = new GrayFrame(painted(16, 16, (x) => 10 * x));
    const patch = new Uint8Array(16);
    frame.patch(-50, 8, 4, 4, patch);
    expect([...patch]).toEqual(new Array(16).fill(5));
  });

  it('refuses images that are none', () => {
    const frame = new GrayFrame(imageOf(16, 16, 3, 1));
    for (const wrong of [undefined, { ...imageOf(16, 16, 3, 1), pixels: new Uint8Array(10) }] as Image[]) {
      expect(() => new GrayFrame(wrong)).toThrow('[GrayFrame] ');
      expect(() => frame.show(wrong)).toThrow(ArgumentError);
      expect(() => GrayFrame.of(wrong, frame)).toThrow(ArgumentError);
    }
  });
});

describe('Pyramid', () => {
  it.each([1, 2, 4, 8, 100])('has the same pixels wherever it is asked first, a sample every %d', (step) => {
    const image = imageOf(211, 165, 3, 3);
    const whole = new Pyramid(image).level(step);
    const gray = new Pyramid(image, { gray: true }).level(step);
    const parts = { colour: new Pyramid(image), gray: new Pyramid(image, { gray: true }) };
    for (const [left, top] of [
      [150, 20],
      [3, 140],
      [100, 60],
      [-40, -40],
      [190, 150],
    ] as const) {
      const region = { left, top, right: left + 60, bottom: top + 45 };
      const [colour, lone] = [parts.colour.level(step, region), parts.gray.level(step, region)];
      expect([colour.width, colour.height, colour.factor]).toEqual([whole.width, whole.height, whole.factor]);
      expect(lone.channels).toBe(1);
      for (let y = Math.max(0, top); y < Math.min(165, top + 45); y += 1) {
        for (let x = Math.max(0, left); x < Math.min(211, left + 60); x += 1) {
          const column = Math.min(Math.floor(x / colour.factor), colour.width - 1);
          const at = Math.min(Math.floor(y / colour.factor), colour.height - 1) * colour.width + column;
          expect(lone.pixels[at]).toBe(gray.pixels[at]);
          expect(colour.pixels[3 * at + 1]).toBe(whole.pixels[3 * at + 1]);
        }
      }
    }
  });

  it('shows another image in the same memory, as if it were new', () => {
    const [first, second] = [imageOf(130, 97, 3, 1), imageOf(130, 97, 3, 2)];
    const region = { left: 20, top: 30, right: 90, bottom: 80 };
    for (const gray of [true, false]) {
      const used = new Pyramid(first, { gray });
      used.level(1, region);
      used.level(4);
      expect(used.show(imageOf(130, 96, 3, 3))).toBe(false);
      expect(used.show(imageOf(130, 97, 1, 3))).toBe(false);
      expect(used.show(second)).toBe(true);
      const fresh = new Pyramid(second, { gray });
      for (const step of [1, 2, 4]) {
        const [again, wanted] = [used.level(step), fresh.level(step)];
        expect(Buffer.compare(again.pixels, wanted.pixels)).toBe(0);
      }
    }
    const frame = new GrayFrame(first);
    expect(GrayFrame.of(second, frame)).toBe(frame);
    expect(GrayFrame.of(imageOf(130, 96, 3, 3), frame)).not.toBe(frame);
    expect(GrayFrame.of(second)).not.toBe(frame);
  });

  it('halves by means', () => {
    const image = imageOf(70, 40, 1, 5);
    const { pixels, width, height } = new Pyramid(image).level(2);
    expect([width, height]).toEqual([35, 20]);
    pixels.forEach((value, i) => {
      const at = 2 * (Math.floor(i / 35) * 70 + (i % 35));
      const sum = [at, at + 1, at + 70, at + 71].reduce((total, k) => total + image.pixels[k]!, 0);
      expect(value).toBe(Math.floor((sum + 2) / 4));
    });
  });
});

describe('similarity', () => {
  const point = fc.record({ x: fc.integer({ min: -50, max: 50 }), y: fc.integer({ min: -50, max: 50 }) });
  const apart = fc.uniqueArray(point, { minLength: 2, maxLength: 6, selector: ({ x, y }) => `${x},${y}` });

  it('finds a turn, scale and shift again', () => {
    fc.assert(
      fc.property(
        apart,
        fc.double({ min: -3, max: 3, noNaN: true }),
        fc.double({ min: 0.2, max: 4, noNaN: true }),
        (from, angle, scale) => {
          const [a, b] = [scale * Math.cos(angle), scale * Math.sin(angle)];
          const to = from.map(({ x, y }) => ({ x: a * x - b * y + 7, y: b * x + a * y - 3 }));
          const found = similarity(from, to);
          for (const [value, expected] of [
            [found.a, a],
            [found.b, b],
            [found.tx, 7],
            [found.ty, -3],
          ] as const) {
            expect(value).toBeCloseTo(expected, 8);
          }
        },
      ),
    );
  });

  it('has the least squares', () => {
    fc.assert(
      fc.property(apart, fc.array(point, { minLength: 6, maxLength: 6 }), (from, others) => {
        const to = from.map((_, index) => others[index]!);
        const error = ({ a, b, tx, ty }: ReturnType<typeof similarity>): number =>
          from.reduce(
            (sum, { x, y }, i) => sum + (a * x - b * y + tx - to[i]!.x) ** 2 + (b * x + a * y + ty - to[i]!.y) ** 2,
            0,
          );
        let best: ReturnType<typeof similarity>;
        try {
          best = similarity(from, to);
        } catch {
          return;
        }
        for (const key of ['a', 'b', 'tx', 'ty'] as const) {
          for (const step of [-0.01, 0.01])
            expect(error({ ...best, [key]: best[key] + step })).toBeGreaterThan(error(best) - 1e-9);
        }
      }),
    );
  });

  it('refuses points that are one', () => {
    const same = [
      { x: 1, y: 2 },
      { x: 1, y: 2 },
    ];
    expect(() => similarity(same, same)).toThrow(ArgumentError);
    expect(() => similarity([{ x: 0, y: 0 }], [{ x: 0, y: 0 }])).toThrow(ArgumentError);
  });
});

describe('cropFaces', () => {
  const ramp = (x: number, y: number): number => 10 + 0.9 * x + 0.7 * y;
  const image = painted(120, 100, ramp);
  const box = { x: 20, y: 10, width: 40, height: 60 };

  /** The centre of each cut pixel in the frame, by the values of the ramp: [row][column]. */
  const cut = (fit: 'aligned' | 'square' | 'padded' | 'stretched', margin = 0, landmarks?: Landmarks): Uint8Array =>
    cropFaces(image, [{ box, ...(landmarks ? { landmarks } : {}) }], { size: [6, 6], channels: 1, fit, margin });

  const expectRamp = (bytes: Uint8Array, x: (u: number, v: number) => number, y: (u: number, v: number) => number) =>
    bytes.forEach((value, i) => {
      const [u, v] = [((i % 6) + 0.5) / 6, (Math.floor(i / 6) + 0.5) / 6];
      expect(Math.abs(value - ramp(x(u, v), y(u, v)))).toBeLessThan(1.1);
    });

  it('stretches, squares and widens boxes', () => {
    expectRamp(
      cut('stretched'),
      (u) => 20 + 40 * u,
      (_, v) => 10 + 60 * v,
    );
    expectRamp(
      cut('square'),
      (u) => 10 + 60 * u,
      (_, v) => 10 + 60 * v,
    );
    expectRamp(
      cut('stretched', 0.2),
      (u) => 16 + 48 * u,
      (_, v) => 4 + 72 * v,
    );
    expectRamp(
      cut('aligned'),
      (u) => 10 + 60 * u,
      (_, v) => 10 + 60 * v,
    );
  });

  it('pads with black', () => {
    const bytes = cut('padded');
    for (let i = 0; i < 36; i += 1) {
      const visible = i % 6 >= 1 && i % 6 < 5;
      if (visible)
        expect(
          Math.abs(bytes[i]! - ramp(10 + (60 * ((i % 6) + 0.5)) / 6, 10 + (60 * (Math.floor(i / 6) + 0.5)) / 6)),
        ).toBeLessThan(1.1);
      else expect(bytes[i]).toBe(0);
    }
  });

  it('turns faces upright by their landmarks', () => {
    const upright = {
      leftEye: [0.3427, 0.4607],
      rightEye: [0.6573, 0.4607],
      nose: [0.5, 0.6405],
      mouthLeft: [0.3698, 0.824],
      mouthRight: [0.6302, 0.824],
    };
    const [side, cos, sin] = [36, Math.cos(0.5), Math.sin(0.5)];
    // From shares of the cut to the frame: turned by half a radian about (60, 50).
    const x = (u: number, v: number): number => 60 + side * ((u - 0.5) * cos - (v - 0.5) * sin);
    const y = (u: number, v: number): number => 50 + side * ((u - 0.5) * sin + (v - 0.5) * cos);
    const landmarks = Object.fromEntries(
      Object.entries(upright).map(([name, [u, v]]) => [name, { x: x(u!, v!), y: y(u!, v!) }]),
    ) as unknown as Landmarks;
    expectRamp(cut('aligned', 0, landmarks), x, y);
    const wider = (u: number): number => (u - 0.5) * 1.5 + 0.5;
    expectRamp(
      cut('aligned', 0.5, landmarks),
      (u, v) => x(wider(u), wider(v)),
      (u, v) => y(wider(u), wider(v)),
    );
  });

  it('smooths what it shrinks', () => {
    const stripes = painted(64, 64, (x) => (Math.floor(x) % 2 === 0 ? 0 : 200));
    const bytes = cropFaces(stripes, [{ box: { x: 0, y: 0, width: 64, height: 64 } }], {
      size: [8, 8],
      channels: 1,
      fit: 'stretched',
    });
    bytes.forEach((value) => void expect(Math.abs(value - 100)).toBeLessThan(10));
  });

  it('makes grey of colours and colours of grey', () => {
    const colour = { pixels: Uint8Array.of(200, 100, 50), width: 1, height: 1, channels: 3 } as const;
    const face = [{ box: { x: 0, y: 0, width: 1, height: 1 } }];
    const gray = { size: [1, 1], channels: 1, fit: 'stretched' } as const;
    expect([...cropFaces(colour, face, gray)]).toEqual([Math.round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)]);
    expect([...cropFaces(colour, face, { ...gray, channels: 3 })]).toEqual([200, 100, 50]);
    expect([
      ...cropFaces({ ...colour, pixels: Uint8Array.of(9), channels: 1 }, face, { ...gray, channels: 3 }),
    ]).toEqual([9, 9, 9]);
  });

  it.each([
    [{ margin: Number.NaN }, 'margin is a number above -1'],
    [{ margin: -1 }, 'margin is a number above -1'],
    [{ margin: Infinity }, 'margin is a number above -1'],
    [{ fit: 'foo' }, 'fit is aligned, square, padded or stretched, got foo'],
    [{ channels: 2 }, 'channels are 1 or 3, got 2'],
    [{ size: [2.5, 4] }, 'size is '],
    [{ size: [0, 4] }, 'size is '],
    [{ size: [65_537, 4] }, 'size is '],
    [{ size: [4] }, 'size is '],
    [{ size: undefined }, 'size is '],
  ])('refuses cuts of %j', (wrong, says) => {
    const options = { size: [2, 2], channels: 1, fit: 'square', ...wrong } as CropOptions;
    expect(() => cropFaces(image, [{ box }], options)).toThrow(`[cropFaces] ${says}`);
    expect(() => cropFaces(image, [], options)).toThrow(ArgumentError);
    const classifier = { ...fakeClassifier(['a', 'b'], 0), crop: options };
    const made = () => new Recognizer({ detector: fakeDetector(() => []), classifier });
    expect(made).toThrow(`[Recognizer] ${says}`);
  });

  it('takes landmarks that are all one point for none', () => {
    const point = { x: 5, y: 5 };
    const landmarks = { leftEye: point, rightEye: point, nose: point, mouthLeft: point, mouthRight: point };
    const options = { size: [4, 4], channels: 1, fit: 'aligned' } as const;
    expect(cropFaces(image, [{ box, landmarks }], options)).toEqual(cropFaces(image, [{ box }], options));
  });

  it('refuses faces that are none', () => {
    for (const wrong of [
      { ...box, x: Number.NaN },
      { ...box, width: 0 },
      { ...box, height: -1 },
    ]) {
      expect(() => cropFaces(image, [{ box: wrong }], { size: [2, 2], channels: 1, fit: 'square' })).toThrow(
        ArgumentError,
      );
    }
  });
});

describe('suppress', () => {
  const boxes = fc.array(
    fc.record({
      x: fc.integer({ min: 0, max: 20 }),
      y: fc.integer({ min: 0, max: 20 }),
      width: fc.integer({ min: 1, max: 15 }),
      height: fc.integer({ min: 1, max: 15 }),
      score: fc.integer({ min: 0, max: 5 }),
    }),
    { maxLength: 12 },
  );
  const shared = (a: Box, b: Box): number => {
    let count = 0;
    for (let x = a.x; x < a.x + a.width; x += 1) {
      for (let y = a.y; y < a.y + a.height; y += 1) {
        if (x >= b.x && x < b.x + b.width && y >= b.y && y < b.y + b.height) count += 1;
      }
    }
    return count;
  };

  it.each(['union', 'min'] as const)('keeps what no better box covers, by %s', (measure) => {
    fc.assert(
      fc.property(boxes, (list) => {
        const overlap = (a: Box, b: Box): number => {
          const both = shared(a, b);
          const [first, second] = [a.width * a.height, b.width * b.height];
          return both / (measure === 'union' ? first + second - both : Math.min(first, second));
        };
        const kept = suppress(
          list,
          list.map(({ score }) => score),
          0.4,
          measure,
        );
        // A box stays exactly when no better one that stays overlaps it.
        list.forEach((box, index) => {
          const better = kept.filter((k) => list[k]!.score > box.score || (list[k]!.score === box.score && k < index));
          expect(kept.includes(index)).toBe(better.every((k) => overlap(list[k]!, box) <= 0.4 + 1e-12));
        });
        const scores = kept.map((k) => list[k]!.score);
        expect(scores).toEqual([...scores].sort((a, b) => b - a));
      }),
    );
  });

  it('measures overlap as counted', () => {
    expect(iou({ x: 0, y: 0, width: 4, height: 4 }, { x: 2, y: 2, width: 4, height: 4 })).toBeCloseTo(4 / 28, 12);
  });
});
