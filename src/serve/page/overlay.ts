// Boxes, numbers and the likeliest expression over the picture. live.ts calls it for every answer. The rule easy to break:
// boxes are in pixels of the frame that was sent; they are drawn in pixels of the screen, mirrored as the video is.
import type { FaceFrame, TrackedFace } from '../../faces/types';

/** Colours of faces by number, told apart on light and on dark pictures; each has its text colour. */
const COLORS = ['#5aa2ff', '#ff9a4d', '#48d597', '#d28bff', '#ffd24d', '#4fd6e8'];
const LABEL_INK = '#10151d';
/** Pixels of a picture below which labels are short. */
const NARROW = 480;

export function faceColor(id: number): string {
  return COLORS[(id - 1) % COLORS.length] as string;
}

/** The likeliest class and its share, or undefined without a classifier. */
export function likeliest(face: TrackedFace): readonly [name: string, share: number] | undefined {
  const guesses = Object.entries(face.expressions ?? {});
  return guesses.reduce<readonly [string, number] | undefined>(
    (best, guess) => (best && best[1] >= guess[1] ? best : guess),
    undefined,
  );
}

export const percent = (share: number): string => `${Math.round(share * 100)} %`;

/** Draws one answer; nothing of the one before stays. */
export function drawFaces(canvas: HTMLCanvasElement, frame: FaceFrame | undefined, mirrored: boolean): void {
  const context = canvas.getContext('2d');
  if (!context) return;
  const ratio = devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const size = [Math.round(width * ratio), Math.round(canvas.clientHeight * ratio)] as const;
  // Setting a canvas's size makes a new one, which costs more than wiping the old one.
  if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, ...size);
  if (!frame) return;
  context.scale(ratio, ratio);
  const scale = width / frame.width;
  for (const face of frame.faces) {
    const box = {
      x: (mirrored ? frame.width - face.box.x - face.box.width : face.box.x) * scale,
      y: face.box.y * scale,
      width: face.box.width * scale,
      height: face.box.height * scale,
    };
    drawBox(context, box, faceColor(face.id));
    drawLabel(context, box, face, width);
  }
}

interface ScreenBox {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

function drawBox(context: CanvasRenderingContext2D, box: ScreenBox, color: string): void {
  const radius = Math.min(10, box.width / 6, box.height / 6);
  // A dark line under the bright one keeps it visible on any picture.
  for (const [style, line] of [
    ['rgb(0 0 0 / 45%)', 5],
    [color, 2.5],
  ] as const) {
    context.beginPath();
    context.roundRect(box.x, box.y, box.width, box.height, radius);
    context.strokeStyle = style;
    context.lineWidth = line;
    context.stroke();
  }
}

function drawLabel(context: CanvasRenderingContext2D, box: ScreenBox, face: TrackedFace, width: number): void {
  const guess = likeliest(face);
  // On a narrow screen faces stand close and labels would cover each other; the cards have the shares.
  const share = guess && width >= NARROW ? ` ${percent(guess[1])}` : '';
  const text = guess ? `${face.id}  ${guess[0]}${share}` : String(face.id);
  context.font = '600 13px system-ui, sans-serif';
  const needed = context.measureText(text).width + 16;
  const x = Math.max(2, Math.min(box.x, width - needed - 2));
  const y = box.y > 28 ? box.y - 27 : box.y + 5;
  context.beginPath();
  context.roundRect(x, y, needed, 22, 7);
  context.fillStyle = faceColor(face.id);
  context.fill();
  context.fillStyle = LABEL_INK;
  context.fillText(text, x + 8, y + 15.5);
}
