// Colours of the charts. Categorical ones are CSS variables, so that a page can turn dark; the ramps are fixed and
// were chosen to be told apart on light and on dark paper and by colour-blind readers.

/** Number of categorical colours, `var(--c1)` to `var(--c6)`. */
export const CATEGORIES = 6;

/** The n-th categorical colour, from 0; it repeats after CATEGORIES. */
export function category(index: number): string {
  return `var(--c${(index % CATEGORIES) + 1})`;
}

type Rgb = readonly [number, number, number];

/** Dark blue to yellow, equal steps of lightness (after viridis, Smith and van der Walt 2015). */
const VALUE_STOPS: readonly Rgb[] = [
  [68, 1, 84],
  [71, 44, 122],
  [59, 81, 139],
  [44, 113, 142],
  [33, 144, 141],
  [39, 173, 129],
  [92, 200, 99],
  [170, 220, 50],
  [253, 231, 37],
];

/** Blue to orange at middle lightness, so that both ends stand out from white and from black. */
const TIME_STOPS: readonly Rgb[] = [
  [61, 118, 221],
  [132, 92, 208],
  [196, 76, 158],
  [230, 92, 92],
  [242, 146, 52],
];

function ramp(stops: readonly Rgb[], share: number): Rgb {
  const place = Math.min(1, Math.max(0, Number.isFinite(share) ? share : 0)) * (stops.length - 1);
  const index = Math.min(stops.length - 2, Math.floor(place));
  const from = stops[index] as Rgb;
  const to = stops[index + 1] as Rgb;
  const mix = (channel: 0 | 1 | 2) => Math.round(from[channel] + (to[channel] - from[channel]) * (place - index));
  return [mix(0), mix(1), mix(2)];
}

function hex(rgb: Rgb): string {
  return `#${rgb.map((channel) => channel.toString(16).padStart(2, '0')).join('')}`;
}

/** Bytes of the value ramp's colour at `share` of its length, 0 to 1; outside is clamped. */
export function valueRgb(share: number): readonly [number, number, number] {
  return ramp(VALUE_STOPS, share);
}

export function valueColor(share: number): string {
  return hex(valueRgb(share));
}

export function timeColor(share: number): string {
  return hex(ramp(TIME_STOPS, share));
}

/** Dark or light ink, whichever reads better on the value ramp at `share`: a class of CHART_STYLE. */
export function inkOn(share: number): 'dark' | 'light' {
  const [red, green, blue] = valueRgb(share);
  return 0.299 * red + 0.587 * green + 0.114 * blue > 140 ? 'dark' : 'light';
}
