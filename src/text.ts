// Small text helpers shared by every room that answers a person's typing mistake. Imports nothing.

/** Levenshtein distance. */
function distance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= b.length; column += 1) {
      const substitution = previous[column - 1]! + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(substitution, previous[column]! + 1, current[column - 1]! + 1));
    }
    previous = current;
  }
  return previous[b.length]!;
}

/**
 * The candidate most like `word`, or undefined when none is close (distance over half its length). One that begins with
 * the word is as close as can be.
 */
export function nearestWord(word: string, candidates: readonly string[]): string | undefined {
  const lower = word.slice(0, 64).toLowerCase();
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    const name = candidate.toLowerCase();
    const found = lower !== '' && name.startsWith(lower) ? 0 : distance(lower, name);
    if (found < bestDistance) {
      best = candidate;
      bestDistance = found;
    }
  }
  return best !== undefined && bestDistance <= Math.max(2, Math.ceil(best.length / 2)) ? best : undefined;
}

/** `; did you mean "x"?` or, when nothing is close, `; one of a, b, c`. */
export function nearest(word: string, candidates: readonly string[]): string {
  const best = nearestWord(word, candidates);
  return best === undefined ? `; one of ${candidates.join(', ')}` : `; did you mean "${best}"?`;
}
