// The run view: asks once a second whether the run has written something and shows what changed. The rule easy to break:
// drawings are parsed as XML documents and everything else is text, so that no name from a file becomes markup.
import type { Rows } from '../../report/rows';
import { ask, askAbout, byId, takeToken } from './access.js';
import type { RunData } from './runData.js';

const EVERY_MS = 1000;
const token = takeToken();
/** What is on the page, by figure. */
const drawn = new Map<string, { readonly svg: string; readonly figure: HTMLElement }>();
let tag = '';
let data: RunData | undefined;

function trouble(text: string): void {
  const status = byId('status', HTMLElement);
  status.hidden = text === '';
  status.classList.add('bad');
  if (status.textContent !== text) status.textContent = text;
}

/** A drawing as an element of this page. */
function parsed(svg: string): Element {
  return document.importNode(new DOMParser().parseFromString(svg, 'image/svg+xml').documentElement, true);
}

/** Puts a new figure into its section, before the table if one stands there. */
function place(section: string, figure: HTMLElement): void {
  const row = document.querySelector(`[data-section="${section}"] .row`);
  row?.insertBefore(figure, row.querySelector('.table'));
}

function showFigures(figures: RunData['figures']): void {
  for (const { id, section, svg, caption } of figures) {
    const known = drawn.get(id);
    if (known?.svg === svg) continue;
    const figure = document.createElement('figure');
    const text = document.createElement('figcaption');
    text.textContent = caption;
    figure.append(parsed(svg), text);
    figure.id = `figure-${id}`;
    if (known) known.figure.replaceWith(figure);
    else place(section, figure);
    drawn.set(id, { svg, figure });
  }
  const ids = new Set(figures.map(({ id }) => id));
  for (const [id, { figure }] of drawn) {
    if (ids.has(id)) continue;
    figure.remove();
    drawn.delete(id);
  }
  for (const section of document.querySelectorAll<HTMLElement>('[data-section]')) {
    section.hidden = section.querySelector('figure') === null;
  }
}

function showTable(id: string, rows: Rows | undefined): void {
  const place = byId(id, HTMLElement);
  place.hidden = rows === undefined;
  if (!rows) return;
  const table = document.createElement('table');
  const cells = (row: HTMLTableRowElement, values: readonly string[], heads: boolean): void => {
    for (const [index, value] of values.entries()) {
      const cell = document.createElement(heads || index === 0 ? 'th' : 'td');
      if (cell instanceof HTMLTableCellElement && cell.tagName === 'TH') cell.scope = heads ? 'col' : 'row';
      cell.textContent = value;
      row.append(cell);
    }
  };
  if (rows.head.length > 0) cells(table.createTHead().insertRow(), rows.head, true);
  const body = table.createTBody();
  for (const row of rows.rows) cells(body.insertRow(), row, false);
  place.replaceChildren(table);
}

function showFacts(facts: RunData['facts']): void {
  const items = facts.map(([name, value]) => {
    const item = document.createElement('div');
    const [term, text] = [document.createElement('dt'), document.createElement('dd')];
    term.textContent = name;
    text.textContent = value;
    text.dataset.fact = name;
    item.append(term, text);
    return item;
  });
  byId('facts', HTMLElement).replaceChildren(...items);
}

function showProgress(share: number | undefined): void {
  const bar = byId('progress', HTMLElement);
  bar.hidden = share === undefined;
  if (share === undefined) return;
  bar.setAttribute('aria-valuenow', String(Math.round(share * 100)));
  bar.style.setProperty('--share', share.toFixed(4));
}

function show(run: RunData): void {
  document.title = `${run.title}: ${run.status}`;
  byId('title', HTMLElement).textContent = run.title;
  byId('method', HTMLElement).textContent = run.method;
  byId('synthetic', HTMLElement).hidden = !run.synthetic;
  const state = byId('state', HTMLElement);
  state.dataset.state = run.status;
  if (state.textContent !== run.status) state.textContent = run.status;
  showProgress(run.progress);
  showFacts(run.facts);
  showFigures(run.figures);
  showTable('units', run.units);
  showTable('classes', run.classes);
  showTable('args', run.args.length > 0 ? { head: [], rows: run.args } : undefined);
  const notes = run.notes.map((note) => {
    const item = document.createElement('li');
    item.textContent = note;
    return item;
  });
  byId('notes', HTMLElement).replaceChildren(...notes);
  byId('more', HTMLElement).hidden = run.args.length + run.notes.length === 0;
}

/** How long ago the run wrote; a run that stopped without saying so is told by it. */
function showAge(): void {
  if (!data) return;
  const seconds = Math.max(0, Math.round((Date.now() - data.written) / 1000));
  const when = data.written === 0 ? 'nothing was written yet' : `last written ${seconds} s ago`;
  byId('written', HTMLElement).textContent = `${data.folder}: ${when}`;
}

async function look(): Promise<void> {
  const response = await ask('/api/run', token, tag ? { 'if-none-match': tag } : {});
  trouble('');
  if (response.status !== 304) {
    tag = response.headers.get('etag') ?? '';
    data = (await response.json()) as RunData;
    show(data);
  }
  showAge();
}

async function watch(): Promise<void> {
  if (!document.hidden) await look().catch((error: Error) => trouble(error.message));
  setTimeout(watch, EVERY_MS);
}

askAbout(token)
  .then(({ live, run }) => {
    byId('to-live', HTMLElement).hidden = !live;
    if (run === null) trouble('No run is shown. Start gramian serve with --run DIR.');
    else void watch();
  })
  .catch((error: Error) => trouble(error.message));
