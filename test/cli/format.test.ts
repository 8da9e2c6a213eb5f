// Numbers as people read them, and the progress that shows them.
import { describe, expect, it } from 'vitest';
import { bar, formatBytes, formatCount, formatDuration, formatPercent, strip, table } from '../../src/cli/format';
import { Progress } from '../../src/cli/progress';
import { events, fakeIo } from './fakes';

/** What takes a drawn line away. */
const CLEAR = '\r\u001b[2K';

describe('formatDuration', () => {
  it.each([
    [0, '0s'],
    [0.4, '0s'],
    [59.4, '59s'],
    [59.6, '1m00s'],
    [61, '1m01s'],
    [187, '3m07s'],
    [3599, '59m59s'],
    [3599.7, '1h00m'],
    [7500, '2h05m'],
    [86_399, '1d00h'],
    [367_200, '4d06h'],
    [Number.NaN, '--'],
    [Number.POSITIVE_INFINITY, '--'],
    [-1, '--'],
  ])('%d s is %s', (seconds, text) => {
    expect(formatDuration(seconds)).toBe(text);
  });
});

it.each([
  [0, '0'],
  [950, '950'],
  [999.6, '1k'],
  [12_340, '12.3k'],
  [4_560_000, '4.56M'],
])('count %d is %s', (value, text) => {
  expect(formatCount(value)).toBe(text);
});

it.each([
  [512, '512 B'],
  [1536, '1.5 KiB'],
  [20 * 2 ** 20, '20 MiB'],
  [2 ** 20 - 1, '1 MiB'],
])('%d bytes are %s', (value, text) => {
  expect(formatBytes(value)).toBe(text);
});

it('shares, bars, strips and tables', () => {
  expect(formatPercent(0.12345)).toBe('12.35%');
  expect(formatPercent(Number.NaN)).toBe('n/a');
  expect(bar(0.5, 4)).toBe('[##..]');
  expect(bar(Number.NaN, 3)).toBe('[...]');
  expect(bar(7, 3)).toBe('[###]');
  expect(strip([0, 0.5, 1, 2, -1, Number.NaN], 0, 1)).toBe('▁▅██▁?');
  expect(table([['a', 'bcd'], ['efg']])).toBe('a    bcd\nefg\n');
});

describe('progress', () => {
  it('redraws one line on a terminal and leaves one for each epoch', () => {
    const io = fakeIo({ terminal: true, columns: 60 });
    const progress = new Progress(io, 3, () => 0);
    for (const event of events) progress.event(event);
    expect(io.stderr).toContain('note: synthetic faces\n');
    const drawn = io.stderr.split(CLEAR)[1] ?? '';
    expect(drawn).toMatch(/^epoch 1\/3 {2}step 1 {2}loss 2 {2}64 images\/s {2}ETA 1m01s/);
    expect(drawn.length).toBeLessThan(60);
    const last = io.stderr.split(CLEAR).at(-1);
    expect(last).toBe('epoch 1/3  loss 1.5  train 50.00%  test 25.00%  64 images/s  4s  CKA(Z,Y) by unit ▁█\n');
    expect(io.stdout).toBe('');
  });

  it('shows a bar where there is room', () => {
    const io = fakeIo({ terminal: true, columns: 120 });
    let clock = 0;
    const progress = new Progress(io, 3, () => clock);
    clock = 61_000;
    progress.event(events[1]!);
    expect(io.stderr).toContain('[##########..........] epoch 1/3');
  });

  it('writes plain lines at most every ten seconds elsewhere', () => {
    const io = fakeIo();
    let clock = 0;
    const progress = new Progress(io, 3, () => clock);
    for (clock = 0; clock <= 25_000; clock += 1000) progress.event(events[1]!);
    expect(io.stderr.split('\n')).toHaveLength(3);
    for (const control of ['\r', '\u001b']) expect(io.stderr).not.toContain(control);
  });
});
