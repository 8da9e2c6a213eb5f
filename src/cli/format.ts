// Numbers as people read them on a terminal: durations, counts, bytes, tables, strips. Pure functions.

/** 7s, 3m07s, 2h05m, 4d06h; `--` for what is not a duration (unknown, infinite, negative). */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return '--';
  const whole = Math.round(seconds);
  const pair = (high: number, highUnit: string, low: number, lowUnit: string): string =>
    `${high}${highUnit}${String(low).padStart(2, '0')}${lowUnit}`;
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return pair(Math.floor(whole / 60), 'm', whole % 60, 's');
  const minutes = Math.round(seconds / 60);
  if (minutes < 24 * 60) return pair(Math.floor(minutes / 60), 'h', minutes % 60, 'm');
  const hours = Math.round(seconds / 3600);
  return pair(Math.floor(hours / 24), 'd', hours % 24, 'h');
}

/** 950, 12.3k, 4.56M, 7.89G. */
export function formatCount(value: number): string {
  const units = ['', 'k', 'M', 'G', 'T', 'P'];
  let scaled = value;
  let unit = 0;
  while (Math.abs(scaled) >= 999.5 && unit < units.length - 1) {
    scaled /= 1000;
    unit += 1;
  }
  return unit === 0 ? String(Math.round(scaled * 10) / 10) : `${Number(scaled.toPrecision(3))}${units[unit]}`;
}

/** 512 B, 1.5 KiB, 20 MiB. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let scaled = bytes;
  let unit = 0;
  while (scaled >= 1023.5 && unit < units.length - 1) {
    scaled /= 1024;
    unit += 1;
  }
  return `${Number(scaled.toPrecision(3))} ${units[unit]}`;
}

export function formatPercent(share: number): string {
  return Number.isFinite(share) ? `${(share * 100).toFixed(2)}%` : 'n/a';
}

/** Four significant digits. */
export function formatLoss(value: number): string {
  return Number.isFinite(value) ? String(Number(value.toPrecision(4))) : String(value);
}

/** Columns padded to their widest cell, the first to the left, the others to the right; one line a row. */
export function table(rows: readonly (readonly string[])[]): string {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, index) => Math.max(...rows.map((row) => row[index]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((cell, index) => (index === 0 ? cell.padEnd(widths[0] as number) : cell.padStart(widths[index] as number)))
      .join('  ')
      .trimEnd(),
  );
  return `${lines.join('\n')}\n`;
}

const BARS = '▁▂▃▄▅▆▇█';

/** One bar for each value between `low` and `high`, `?` for what is not finite. */
export function strip(values: readonly number[], low: number, high: number): string {
  return values
    .map((value) => {
      if (!Number.isFinite(value)) return '?';
      const share = Math.min(1, Math.max(0, (value - low) / (high - low)));
      return BARS[Math.min(BARS.length - 1, Math.floor(share * BARS.length))];
    })
    .join('');
}

/** `[#####.....]` of `width` characters inside the brackets. */
export function bar(share: number, width: number): string {
  const full = Math.round(Math.min(1, Math.max(0, Number.isFinite(share) ? share : 0)) * width);
  return `[${'#'.repeat(full)}${'.'.repeat(width - full)}]`;
}
