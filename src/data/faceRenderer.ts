// Draws one parametric grey face: head, hair, eyes, brows, nose, mouth, from an identity, an expression, a pose and a
// light. Called by synthetic.ts, which draws the parameters. Lengths are in half-widths of the head, y downwards.
// The rule easy to break: features are points on a turned ellipsoid, so draw through `project`, never in pixels.
import { type Canvas, coverage, length as distance, type Points } from './canvas';

export interface Identity {
  skin: number;
  hair: number;
  /** Half-height of the head (half-width is 1). */
  length: number;
  jaw: number;
  hairline: number;
  eyeSpacing: number;
  eyeWidth: number;
  eyeHeight: number;
  iris: number;
  browHeight: number;
  browThickness: number;
  noseLength: number;
  noseWidth: number;
  mouthHeight: number;
  mouthWidth: number;
  lips: number;
  /** 0 none to 1 full. */
  beard: number;
  glasses: boolean;
}

/** Offsets from the neutral face; about -1..1 each. */
export interface Expression {
  innerBrow: number;
  outerBrow: number;
  squeeze: number;
  eyeOpen: number;
  squint: number;
  corners: number;
  mouthOpen: number;
  mouthWidth: number;
  upperLip: number;
  teeth: number;
  noseWrinkle: number;
  furrow: number;
  fold: number;
}

export interface Pose {
  /** Radians. */
  yaw: number;
  pitch: number;
  roll: number;
  /** Pixels of a half-width, and the head's centre in pixels. */
  scale: number;
  x: number;
  y: number;
}

export interface Light {
  /** Direction the light comes from, not normalised: x right, y down, z to the viewer. */
  x: number;
  y: number;
  ambient: number;
  background: number;
  gradient: number;
}

export interface Face {
  identity: Identity;
  expression: Expression;
  pose: Pose;
  light: Light;
}

/** The neutral face and, for each class of EXPRESSIONS, what a full expression adds (after Ekman's action units). */
export const NEUTRAL: Expression = {
  innerBrow: 0,
  outerBrow: 0,
  squeeze: 0,
  eyeOpen: 0,
  squint: 0,
  corners: 0,
  mouthOpen: 0,
  mouthWidth: 0,
  upperLip: 0,
  teeth: 0,
  noseWrinkle: 0,
  furrow: 0,
  fold: 0,
};
export const EXPRESSION_SHAPES: readonly Partial<Expression>[] = [
  {
    innerBrow: -1,
    outerBrow: 0.35,
    squeeze: 1,
    eyeOpen: -0.15,
    squint: 0.4,
    corners: -0.45,
    mouthOpen: 0.18,
    teeth: 0.8,
    furrow: 1,
  },
  {
    innerBrow: -0.6,
    outerBrow: -0.3,
    squeeze: 0.5,
    eyeOpen: -0.45,
    squint: 0.8,
    corners: -0.4,
    mouthOpen: 0.25,
    upperLip: 1,
    teeth: 0.5,
    noseWrinkle: 1,
    fold: 0.8,
  },
  {
    innerBrow: 0.9,
    outerBrow: 0.25,
    squeeze: 0.6,
    eyeOpen: 0.7,
    corners: -0.35,
    mouthOpen: 0.45,
    mouthWidth: 0.3,
    teeth: 0.6,
  },
  { outerBrow: 0.1, eyeOpen: -0.25, squint: 0.7, corners: 1, mouthOpen: 0.38, mouthWidth: 0.35, teeth: 1, fold: 1 },
  { innerBrow: 0.85, outerBrow: -0.7, squeeze: 0.35, eyeOpen: -0.4, corners: -1, mouthWidth: -0.15, furrow: 0.3 },
  { innerBrow: 1, outerBrow: 1, eyeOpen: 1, mouthOpen: 1, mouthWidth: -0.35 },
  {},
];

const DARK = 0.1;

/** Turns points (u, v) of the face into pixels: on the ellipsoid, then yaw, pitch, roll, scale, shift. */
function project(face: Face, points: readonly (readonly [number, number])[]): Points {
  const { yaw, pitch, roll, scale, x, y } = face.pose;
  const [sinYaw, cosYaw, sinPitch, cosPitch] = [Math.sin(yaw), Math.cos(yaw), Math.sin(pitch), Math.cos(pitch)];
  const [sinRoll, cosRoll] = [Math.sin(roll) * scale, Math.cos(roll) * scale];
  const result = new Float64Array(points.length * 2);
  for (const [i, [u, v]] of points.entries()) {
    const height = v / face.identity.length;
    const depth = Math.sqrt(Math.max(0.05, 1 - 0.8 * (u * u + height * height)));
    const across = u * cosYaw + depth * sinYaw;
    const down = v * cosPitch + (depth - 0.6) * sinPitch;
    result[2 * i] = x + across * cosRoll - down * sinRoll;
    result[2 * i + 1] = y + across * sinRoll + down * cosRoll;
  }
  return result;
}

/** Points at t = -1..1 of a curve. */
function curve(count: number, at: (t: number) => readonly [number, number]): (readonly [number, number])[] {
  return Array.from({ length: count }, (_, i) => at((2 * i) / (count - 1) - 1));
}

/** Background, neck, hair, and the shaded head: one pass over all pixels. */
function drawHead(canvas: Canvas, { identity, pose, light }: Face): void {
  const { pixels, side } = canvas;
  const { length, jaw, skin, hair, hairline, beard } = identity;
  const [sin, cos] = [Math.sin(pose.roll) / pose.scale, Math.cos(pose.roll) / pose.scale];
  const norm = 1 / Math.sqrt(light.x ** 2 + light.y ** 2 + 1);
  const turn = Math.sin(pose.yaw);
  for (let row = 0, index = 0; row < side; row++) {
    for (let column = 0; column < side; column++, index++) {
      const dx = column + 0.5 - pose.x;
      const dy = row + 0.5 - pose.y;
      const u = dx * cos + dy * sin;
      const v = (dy * cos - dx * sin) / length;
      let grey = light.background + light.gradient * (dx / side);
      const neck = coverage((0.55 - Math.abs(u)) * pose.scale) * coverage((v - 0.5) * pose.scale);
      grey += (skin * 0.55 - grey) * neck;
      const crown =
        coverage((1 - distance(u / 1.1, (v + 0.1) / 1.06)) * pose.scale) * coverage((0.55 - v) * pose.scale);
      grey += (hair * (0.8 + 0.3 * norm * (1 - light.y * v)) - grey) * crown;
      const narrow = v > 0 ? 1 - jaw * v * v : 1;
      const nx = u / narrow;
      const radius = distance(nx, v);
      const inside = coverage((1 - radius) * pose.scale);
      if (inside > 0) {
        const nz = Math.sqrt(Math.max(0, 1 - radius * radius));
        const lit = Math.max(0, (nx * light.x + v * light.y + nz) * norm);
        let tone = skin * (light.ambient + (1 - light.ambient) * lit);
        const stubble = coverage((distance(u * 0.9, v - 0.1) - 0.62) * 6) * coverage((v - 0.25) * 8);
        tone *= 1 - 0.45 * beard * stubble;
        const fringe = coverage((hairline + 0.22 * (u - 0.5 * turn) ** 2 - v) * 1.2 * pose.scale);
        tone += (hair - tone) * fringe;
        grey += (tone - grey) * inside;
      }
      pixels[index] = grey;
    }
  }
}

function drawEye(canvas: Canvas, face: Face, sign: number): void {
  const { identity, expression, light } = face;
  const centre = sign * identity.eyeSpacing;
  const top = identity.eyeHeight * Math.max(0.12, 1 + 0.75 * expression.eyeOpen);
  const bottom = 0.7 * identity.eyeHeight * Math.max(0.1, 1 + 0.5 * expression.eyeOpen - 0.8 * expression.squint);
  const eyeLine = -0.12;
  const upper = curve(7, (t) => [centre + t * identity.eyeWidth, eyeLine - top * (1 - t * t)]);
  const lower = curve(7, (t) => [centre + t * identity.eyeWidth, eyeLine + bottom * (1 - t * t)]);
  const outline = project(face, [...upper, ...lower.slice(1, -1).reverse()]);
  const socket = curve(5, (t) => [centre + t * identity.eyeWidth * 1.1, eyeLine - 0.13 - 0.06 * (1 - t * t)]);
  canvas.stroke(project(face, socket), 1.4, identity.skin * 0.6, 0.35);
  canvas.fill(outline, Math.min(1, 0.55 + 0.45 * identity.skin) * (0.6 + 0.4 * light.ambient));
  const iris = project(face, [[centre, eyeLine - 0.02]]);
  canvas.discInside(outline, iris[0]!, iris[1]!, identity.eyeWidth * 0.62 * face.pose.scale, identity.iris);
  canvas.stroke(project(face, upper), 0.55, DARK, 0.85);
  canvas.stroke(project(face, lower), 0.4, identity.skin * 0.5, 0.5);
  if (expression.squint > 0.2) {
    const bag = curve(5, (t) => [centre + t * identity.eyeWidth, eyeLine + bottom + 0.1 + 0.05 * (1 - t * t)]);
    canvas.stroke(project(face, bag), 0.5, identity.skin * 0.5, 0.5 * expression.squint);
  }
}

function drawBrow(canvas: Canvas, face: Face, sign: number): void {
  const { identity, expression } = face;
  const base = -0.12 - identity.eyeHeight - identity.browHeight;
  const inner = 0.16 * expression.innerBrow;
  const outer = 0.15 * expression.outerBrow;
  const from = identity.eyeSpacing - identity.eyeWidth * 1.15 - 0.09 * expression.squeeze;
  const to = identity.eyeSpacing + identity.eyeWidth * 1.3;
  const points = curve(6, (t) => {
    const along = (t + 1) / 2;
    return [sign * (from + (to - from) * along), base - inner * (1 - along) - outer * along - 0.06 * (1 - t * t)];
  });
  canvas.stroke(project(face, points), identity.browThickness, identity.hair * 0.8, 0.9);
}

function drawNose(canvas: Canvas, face: Face): void {
  const { identity, expression, light } = face;
  const shadow = identity.skin * 0.5;
  const tip = identity.noseLength;
  const side = light.x > 0 ? -1 : 1;
  const bridge = curve(5, (t) => [side * (0.07 + 0.05 * (t + 1)), -0.1 + (tip + 0.02) * ((t + 1) / 2)]);
  canvas.stroke(project(face, bridge), 0.6, shadow, 0.4);
  const base = curve(7, (t) => [identity.noseWidth * t, tip + 0.05 * (1 - t * t) - 0.03 * expression.noseWrinkle]);
  canvas.stroke(project(face, base), 0.6, shadow * 0.8, 0.75);
  if (expression.noseWrinkle > 0.15) {
    for (const height of [0.02, 0.13]) {
      const wrinkle = curve(5, (t) => [0.16 * t, height + 0.05 * t * t]);
      canvas.stroke(project(face, wrinkle), 0.45, shadow, 0.7 * expression.noseWrinkle);
    }
  }
  if (expression.furrow > 0.15) {
    for (const x of [-0.07, 0.07]) {
      const top = -0.2 - identity.browHeight;
      const furrow = [[x * 1.3, top - 0.15] as const, [x, top + 0.1] as const];
      canvas.stroke(project(face, furrow), 0.45, shadow, 0.8 * expression.furrow);
    }
  }
}

function drawMouth(canvas: Canvas, face: Face): void {
  const { identity, expression } = face;
  const { corners, mouthOpen, teeth } = expression;
  const half = identity.mouthWidth * (1 + 0.6 * expression.mouthWidth);
  const open = Math.max(0, mouthOpen);
  const middle = identity.mouthHeight - 0.05 * expression.upperLip;
  const bow = (t: number) => middle + 0.15 * corners * (0.5 - t * t);
  const arch = (t: number) => 1 - Math.abs(t) ** 2.5;
  const upper = curve(9, (t) => [t * half, bow(t) - (0.1 * open + 0.09 * expression.upperLip) * arch(t)]);
  const lower = curve(9, (t) => [t * half, bow(t) + 0.42 * open * arch(t)]);
  const lip = identity.skin * 0.55;
  const width = identity.lips * face.pose.scale;
  if (open > 0.06) {
    canvas.stroke(project(face, upper), width, lip, 0.85);
    canvas.stroke(project(face, lower), width * 1.2, lip, 0.85);
    canvas.fill(project(face, [...upper, ...lower.slice(1, -1).reverse()]), DARK);
    if (teeth > 0.15) {
      const edge = curve(9, (t) => [t * half * 0.95, bow(t) + (0.42 * open * 0.6 - 0.02) * arch(t)]);
      canvas.fill(project(face, [...upper, ...edge.slice(1, -1).reverse()]), 0.88, Math.min(1, teeth));
    }
  } else {
    canvas.stroke(project(face, upper), width * 1.3, lip, 0.7);
    canvas.stroke(project(face, lower), 0.5, DARK, 0.8);
  }
  for (const sign of expression.fold > 0.15 ? [-1, 1] : []) {
    const fold = curve(5, (t) => {
      const along = (t + 1) / 2;
      return [sign * (0.22 + (half + 0.06 - 0.22) * along), identity.noseLength - 0.04 + 0.3 * along ** 1.3];
    });
    canvas.stroke(project(face, fold), 0.5, identity.skin * 0.5, 0.6 * Math.min(1, expression.fold));
  }
}

function drawGlasses(canvas: Canvas, face: Face): void {
  const { eyeSpacing, eyeWidth } = face.identity;
  const ring = (sign: number) =>
    Array.from({ length: 13 }, (_, i): readonly [number, number] => {
      const angle = (i / 12) * 2 * Math.PI;
      return [sign * eyeSpacing + Math.cos(angle) * eyeWidth * 1.4, -0.1 + Math.sin(angle) * eyeWidth * 1.15];
    });
  for (const sign of [-1, 1]) canvas.stroke(project(face, ring(sign)), 0.45, DARK, 0.85);
  const gap = eyeSpacing - eyeWidth * 1.4;
  if (gap > 0)
    canvas.stroke(
      project(
        face,
        curve(3, (t) => [t * gap, -0.13]),
      ),
      0.45,
      DARK,
      0.85,
    );
}

/** Draws the face over whatever the canvas held. */
export function drawFace(canvas: Canvas, face: Face): void {
  drawHead(canvas, face);
  drawNose(canvas, face);
  for (const sign of [-1, 1]) {
    drawEye(canvas, face, sign);
    drawBrow(canvas, face, sign);
  }
  drawMouth(canvas, face);
  if (face.identity.glasses) drawGlasses(canvas, face);
}
