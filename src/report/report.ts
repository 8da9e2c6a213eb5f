// Writes a run's report.html: one file that needs nothing else, no scripts, readable on light and dark screens, plus the
// same pictures as figures/*.svg and figures/*.png. The trainer calls it when a run ends. The rule easy to break: all
// text comes from data (class names, paths, arguments), so all of it goes through escapeText.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Evaluation, TrainEvent } from './events';
import { type FeatureMap, featureGrid, MAX_CHANNELS, type SampleImage, samplePicture } from './features';
import { confusionFigure, type Figure, labelFigure, trainingFigures } from './figures';
import { writeWhole } from './log';
import { classScores, formatShare, unitScores } from './rows';
import { CHART_STYLE, escapeText, formatNumber, standalone } from './svg';

export interface ReportData {
  /** The run's arguments, as in args.json. `data` names the data. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly events: readonly TrainEvent[];
  readonly evaluation: Evaluation;
  readonly classes: readonly string[];
  /** Samples of each class in each split. */
  readonly labelCounts: Readonly<Record<string, readonly number[]>>;
  readonly featureMaps?: readonly FeatureMap[];
  /** The image the feature maps came from. */
  readonly sample?: SampleImage & { readonly label?: string; readonly prediction?: string };
  /** Where the data came from, in words. */
  readonly source?: string;
  /** True when the images were drawn by the generator; by default told from `config.data`. */
  readonly synthetic?: boolean;
}

const STYLE = `
:root{color-scheme:light dark;--ink:#1c2230;--muted:#5d6675;--line:#dfe3ea;--paper:#fff;--back:#f4f6f9;--accent:#2563c9;--warn:#8a4b00;--warnback:#fff1d6}
@media (prefers-color-scheme:dark){:root{--ink:#e7eaf0;--muted:#9aa4b4;--line:#333b48;--paper:#161a21;--back:#0e1116;--accent:#6ea3ff;--warn:#ffd08a;--warnback:#3a2a10}}
*{box-sizing:border-box}body{margin:0;background:var(--back);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main,header{max-width:1220px;margin:0 auto;padding:0 20px}header{padding-top:28px}h1{font-size:26px;margin:0 0 4px}h2{font-size:19px;margin:36px 0 10px}
p{margin:4px 0}.muted,figcaption{color:var(--muted);font-size:13px}nav{margin:12px 0}nav a{color:var(--accent);text-decoration:none;margin-right:16px;font-size:14px}
.badge{display:inline-block;background:var(--warnback);color:var(--warn);border-radius:6px;padding:3px 10px;font-weight:600;font-size:13px;margin:6px 0}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:14px 0}
.card,figure,.table{background:var(--paper);border:1px solid var(--line);border-radius:10px;padding:12px 14px}
.card b{display:block;font-size:23px;font-weight:650;font-variant-numeric:tabular-nums}.card span{color:var(--muted);font-size:13px}
.row{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,520px),1fr));gap:14px;margin-bottom:14px;align-items:start}figure{margin:0 0 14px;max-width:100%;overflow-x:auto}.row figure{margin:0}
figure svg{display:block;max-width:100%;height:auto}figcaption{margin-top:6px}img{image-rendering:pixelated;max-width:100%;display:block}
.table{overflow-x:auto;margin-bottom:14px}table{border-collapse:collapse;font-size:14px}th,td{text-align:right;padding:4px 14px 4px 0;border-bottom:1px solid var(--line);font-variant-numeric:tabular-nums;white-space:nowrap}
th{color:var(--muted);font-weight:600}th:first-child,td:first-child{text-align:left}.args td{text-align:left;white-space:normal;word-break:break-all}footer{padding:26px 0;color:var(--muted);font-size:13px}
`.trim();

/** What the data is, for people. Faces from the generator are always called synthetic. */
export function describeData(data: Pick<ReportData, 'config' | 'synthetic'>): { name: string; synthetic: boolean } {
  const spec = String(data.config.data ?? 'unnamed data');
  const synthetic = data.synthetic ?? false;
  const known: Record<string, string> = { mnist: 'MNIST', 'fashion-mnist': 'Fashion-MNIST' };
  const drawn = /^synthetic(?::(\d+))?$/.exec(spec);
  if (drawn) return { name: `synthetic faces${drawn[1] ? ` (${drawn[1]})` : ''}`, synthetic: true };
  return { name: `${synthetic ? 'synthetic ' : ''}${known[spec] ?? spec}`, synthetic };
}

function table(head: readonly string[], rows: readonly (readonly unknown[])[], kind = ''): string {
  const cells = (tag: string, values: readonly unknown[]) =>
    values.map((value) => `<${tag}>${escapeText(value)}</${tag}>`).join('');
  const body = rows.map((row) => `<tr>${cells('td', row)}</tr>`).join('');
  const start = head.length > 0 ? `<thead><tr>${cells('th', head)}</tr></thead>` : '';
  return `<div class="table ${kind}"><table>${start}<tbody>${body}</tbody></table></div>`;
}

function figure(picture: string, caption: string): string {
  return `<figure>${picture}<figcaption>${escapeText(caption)}</figcaption></figure>`;
}

function cards(data: ReportData): string {
  const { evaluation, events } = data;
  const end = events.findLast((event) => event.event === 'end');
  const last = events.findLast((event) => event.event === 'epoch' || event.event === 'step');
  const items: [string, string][] = [
    ['accuracy', formatShare(evaluation.accuracy)],
    ['balanced accuracy', formatShare(evaluation.balancedAccuracy)],
    ['macro F1', formatShare(evaluation.macroF1)],
  ];
  const epochs = end ? end.epoch : events.filter((event) => event.event === 'epoch').length;
  items.push(['epochs', String(epochs)]);
  if (last) items.push(['steps', String(last.step)]);
  const speed = end ?? last;
  if (speed) items.push(['images a second', formatNumber(speed.imagesPerSecond)]);
  if (end) items.push(['seconds', formatNumber(end.seconds)]);
  const made = items.map(([name, value]) => `<div class="card"><b>${escapeText(value)}</b><span>${name}</span></div>`);
  return `<div class="cards">${made.join('')}</div>`;
}

function classTable(evaluation: Evaluation): string {
  const { head, rows } = classScores(evaluation);
  return table(head, rows);
}

function unitTable(events: readonly TrainEvent[]): string {
  const scores = unitScores(events);
  return scores ? table(scores.head, scores.rows) : '<p class="muted">This run reported no units.</p>';
}

interface Picture {
  readonly file: string;
  readonly png: Buffer;
  readonly title: string;
  readonly caption: string;
}

function pictures(data: ReportData): Picture[] {
  const made: Picture[] = [];
  if (data.sample) {
    const { label, prediction } = data.sample;
    const said = [label ? `label ${label}` : '', prediction ? `classified as ${prediction}` : ''].filter(Boolean);
    const caption = ['The input', ...said].join(', ');
    made.push({ file: 'sample.png', png: samplePicture(data.sample), title: 'input', caption });
  }
  for (const [index, map] of (data.featureMaps ?? []).entries()) {
    const shown = Math.min(map.channels, MAX_CHANNELS);
    const part = shown < map.channels ? `first ${shown} of ${map.channels} channels` : `${map.channels} channels`;
    const caption = `${map.name}: ${map.height}x${map.width}, ${part}, each stretched by itself`;
    const file = `features-${index + 1}-${map.name.replace(/[^A-Za-z0-9_-]+/g, '-').slice(0, 60)}.png`;
    made.push({ file, png: featureGrid(map), title: map.name, caption });
  }
  return made;
}

function image(picture: Picture): string {
  const source = `data:image/png;base64,${picture.png.toString('base64')}`;
  return figure(`<img alt="${escapeText(picture.title)}" src="${source}">`, picture.caption);
}

/** The document; `figures` and `images` are put into their sections. */
function page(data: ReportData, figures: readonly Figure[], images: readonly Picture[]): string {
  const { name, synthetic } = describeData(data);
  const { model = 'model', method = 'an unnamed method' } = data.config;
  const of = (section: Figure['section']) =>
    figures.filter((one) => one.section === section).map((one) => figure(one.svg, one.caption));
  const row = (parts: readonly string[]) => `<div class="row">${parts.join('')}</div>`;
  const args = Object.entries(data.config).map(([key, value]) => [
    key,
    typeof value === 'string' ? value : JSON.stringify(value),
  ]);
  const interrupted = data.events.findLast((event) => event.event === 'end')?.interrupted === true;
  const sections: [id: string, title: string, body: string][] = [
    ['results', 'Results', cards(data)],
    ['curves', 'Loss and accuracy', row(of('curves'))],
    ['units', 'Units', of('units').slice(0, 1).join('') + row(of('units').slice(1)) + unitTable(data.events)],
    ['ranks', 'Effective rank and CKA over time', row(of('ranks'))],
    ['confusion', 'Confusion matrix', row([...of('confusion'), classTable(data.evaluation)])],
    ['labels', 'Labels', row(of('labels'))],
    ['features', 'Feature maps', row(images.map(image))],
    ['arguments', 'Arguments', table([], args, 'args')],
  ];
  const filled = sections.filter(([, , body]) => body !== row([]));
  const nav = filled.map(([id, title]) => `<a href="#${id}">${title}</a>`).join('');
  const body = filled.map(([id, title, content]) => `<section id="${id}"><h2>${title}</h2>${content}</section>`);
  const badge = synthetic
    ? '<p class="badge">Synthetic data: images drawn by a generator, not photographs of people</p>'
    : '';
  const source = data.source ? `<p class="muted">${escapeText(data.source)}</p>` : '';
  const stopped = interrupted ? '<p class="badge">Interrupted: trained for less than was asked</p>' : '';
  const title = `${model} on ${name}`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>${escapeText(title)}</title><style>${STYLE}\n${CHART_STYLE}</style></head>
<body><header><h1>${escapeText(title)}</h1><p class="muted">${escapeText(`trained by ${method}, seed ${data.config.seed ?? 'unknown'}`)}</p>${source}${badge}${stopped}<nav>${nav}</nav></header>
<main>${body.join('\n')}<footer>Made by gramian. The same figures are in the folder figures/ beside this file.</footer></main></body></html>
`;
}

/** Writes report.html and figures/ into the run's folder and returns the path of the report. */
export function writeReport(dir: string, data: ReportData): string {
  const figures = [
    ...trainingFigures(data.events),
    confusionFigure(data.evaluation, data.classes),
    ...labelFigure(data.labelCounts, data.classes),
  ];
  const images = pictures(data);
  mkdirSync(join(dir, 'figures'), { recursive: true });
  for (const one of figures) writeWhole(join(dir, 'figures', `${one.id}.svg`), standalone(one.svg));
  for (const one of images) writeWhole(join(dir, 'figures', one.file), one.png);
  const path = join(dir, 'report.html');
  writeWhole(path, page(data, figures, images));
  return path;
}
