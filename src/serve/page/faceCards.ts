// The list beside the picture: one card a face with a bar for each class. live.ts calls it for every answer. The rule easy
// to break: a card is made once and then changed, so that a screen reader and the keyboard keep their place in it.
import type { TrackedFace } from '../../faces/types';
import { faceColor, likeliest, percent } from './overlay.js';

interface Guess {
  readonly row: HTMLElement;
  readonly bar: HTMLElement;
  readonly fill: HTMLElement;
  readonly share: HTMLElement;
}

interface Card {
  readonly item: HTMLElement;
  readonly first: HTMLElement;
  readonly more: HTMLElement;
  readonly guesses: ReadonlyMap<string, Guess>;
}

function add(parent: HTMLElement, tag: string, kind = '', text = ''): HTMLElement {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text) made.textContent = text;
  parent.append(made);
  return made;
}

function makeGuess(card: HTMLElement, name: string): Guess {
  const row = add(card, 'div', 'guess');
  add(row, 'span', 'name', name);
  const bar = add(row, 'span', 'bar');
  bar.setAttribute('role', 'meter');
  bar.setAttribute('aria-label', name);
  bar.setAttribute('aria-valuemin', '0');
  bar.setAttribute('aria-valuemax', '100');
  const fill = add(bar, 'span');
  const share = add(row, 'span', 'share');
  share.setAttribute('aria-hidden', 'true');
  return { row, bar, fill, share };
}

function makeCard(list: HTMLElement, face: TrackedFace): Card {
  const item = document.createElement('li');
  item.className = 'face';
  item.style.setProperty('--face', faceColor(face.id));
  const title = add(item, 'h3');
  add(title, 'span', '', `Face ${face.id}`);
  const first = add(title, 'span');
  const more = add(item, 'p', 'more');
  const names = Object.keys(face.expressions ?? {});
  const card = { item, first, more, guesses: new Map(names.map((name) => [name, makeGuess(item, name)])) };
  list.append(item);
  return card;
}

function moreOf({ score, gender, age }: TrackedFace): string {
  const parts = [`found with ${percent(score)}`];
  if (gender) parts.push(`looks ${gender.label} ${percent(gender.probability)}`);
  if (age !== undefined) parts.push(`about ${Math.round(age)} years`);
  return parts.join(', ');
}

function change(card: Card, face: TrackedFace): void {
  const best = likeliest(face);
  card.first.textContent = best?.[0] ?? '';
  card.more.textContent = moreOf(face);
  for (const [name, { row, bar, fill, share }] of card.guesses) {
    const value = face.expressions?.[name] ?? 0;
    row.classList.toggle('first', name === best?.[0]);
    fill.style.setProperty('--share', value.toFixed(3));
    share.textContent = percent(value);
    bar.setAttribute('aria-valuenow', String(Math.round(value * 100)));
    bar.setAttribute('aria-valuetext', percent(value));
  }
}

/** Milliseconds between changes of the same faces; bars that move faster are not read, only painted. */
const CHANGE_MS = 100;

/** Keeps the list in step with the answers. */
export class FaceCards {
  readonly #list: HTMLElement;
  readonly #none: HTMLElement;
  readonly #cards = new Map<number, Card>();
  #changed = Number.NEGATIVE_INFINITY;

  constructor(list: HTMLElement, none: HTMLElement) {
    this.#list = list;
    this.#none = none;
  }

  show(faces: readonly TrackedFace[]): void {
    const seen = new Set(faces.map(({ id }) => id));
    const same = seen.size === this.#cards.size && faces.every(({ id }) => this.#cards.has(id));
    const now = performance.now();
    if (same && now - this.#changed < CHANGE_MS) return;
    this.#changed = now;
    for (const [id, { item }] of this.#cards) {
      if (seen.has(id)) continue;
      item.remove();
      this.#cards.delete(id);
    }
    for (const face of faces) {
      let card = this.#cards.get(face.id);
      if (!card) {
        card = makeCard(this.#list, face);
        this.#cards.set(face.id, card);
      }
      change(card, face);
    }
    this.#none.hidden = faces.length > 0;
  }
}
