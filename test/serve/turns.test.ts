// Latest frame wins, places are served in turn, and nothing queues; caps on a rate.
import { describe, expect, it } from 'vitest';
import { Turns } from '../../src/serve/latest';
import { RateCap } from '../../src/serve/limits';

/** Work that is finished by hand. */
function workshop() {
  const done: string[] = [];
  const open: (() => void)[] = [];
  const work = (frame: string): Promise<void> => {
    done.push(frame);
    return new Promise((resolve) => open.push(resolve));
  };
  const finish = async (): Promise<void> => {
    open.shift()?.();
    for (let turn = 0; turn < 4; turn += 1) await Promise.resolve();
  };
  return { done, work, finish };
}

describe('turns', () => {
  it('work on the newest frame and answer the ones it replaced', async () => {
    const { done, work, finish } = workshop();
    const place = new Turns<string>().join(work);
    expect([1, 2, 3, 4].map((frame) => place.offer(`frame ${frame}`))).toEqual([
      undefined,
      undefined,
      'frame 2',
      'frame 3',
    ]);
    expect(done).toEqual(['frame 1']);
    await finish();
    expect(done).toEqual(['frame 1', 'frame 4']);
    await finish();
    expect(place.offer('frame 5')).toBeUndefined();
    expect(done).toEqual(['frame 1', 'frame 4', 'frame 5']);
  });

  it('serve a client that sends little beside one that sends much', async () => {
    const { done, work, finish } = workshop();
    const turns = new Turns<string>();
    const [greedy, modest] = [turns.join(work), turns.join(work)];
    greedy.offer('greedy 1');
    modest.offer('modest 1');
    for (let frame = 2; frame < 6; frame += 1) greedy.offer(`greedy ${frame}`);
    for (let turn = 0; turn < 3; turn += 1) await finish();
    expect(done).toEqual(['greedy 1', 'modest 1', 'greedy 5']);
  });

  it('forget the frame of a client that left', async () => {
    const { done, work, finish } = workshop();
    const turns = new Turns<string>();
    const [first, second] = [turns.join(work), turns.join(work)];
    first.offer('first 1');
    second.offer('second 1');
    second.leave();
    second.offer('second 2');
    await finish();
    await finish();
    expect(done).toEqual(['first 1']);
    expect(second.offer('second 3')).toBeUndefined();
    first.offer('first 2');
    expect(done).toEqual(['first 1', 'first 2']);
    await finish();
    await turns.idle();
  });
});

it('a rate cap lets a second’s worth pass at once and then its rate', () => {
  const cap = new RateCap(10, 0);
  const passed = (now: number, tries: number) =>
    Array.from({ length: tries }, () => cap.take(now)).filter(Boolean).length;
  expect(passed(0, 50)).toBe(10);
  expect(passed(50, 50)).toBe(0);
  expect(passed(500, 50)).toBe(5);
  expect(passed(100_000, 50)).toBe(10);
});
