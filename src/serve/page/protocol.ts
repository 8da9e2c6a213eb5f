// What travels over the live page's WebSocket: binary frames one way, JSON messages the other (docs/serve.md). Compiled
// twice, for Node.js and for the browser, so it imports only types and names neither's globals. The rule easy to break: a
// frame is read from a stranger's bytes, so every field is checked before it is used.

import type { FaceFrame, Image } from '../../faces/types';

/** The WebSocket subprotocol; a change to what is below needs a new name. */
export const SUBPROTOCOL = 'gramian.faces.1';

/** Bytes before the pixels, little-endian: kind, channels, width u16, height u16, flags u16, sequence u32. */
export const HEADER_BYTES = 12;
const KIND_FRAME = 1;
const FLAG_RESTART = 1;
const KNOWN_FLAGS = FLAG_RESTART;

export interface Frame extends Image {
  /** Chosen by the sender, 0 to 2^32 - 1; the answer carries it. */
  readonly sequence: number;
  /** Nothing of earlier frames applies: another source, a cut, a photograph. Tracks end here. */
  readonly restart: boolean;
}

export interface FrameLimits {
  /** Smallest and largest width and height. */
  readonly minSide: number;
  readonly maxSide: number;
  readonly maxPixels: number;
}

export type ServerMessage =
  | {
      readonly type: 'hello';
      readonly classes: readonly string[];
      readonly limits: FrameLimits;
      /** Frames a second above which frames are dropped. */
      readonly maxRate: number;
      /** What finds and what classifies, in words. */
      readonly about: string;
    }
  | ({ readonly type: 'faces'; readonly sequence: number } & FaceFrame)
  | {
      readonly type: 'dropped';
      readonly sequence: number;
      /** A newer frame came before its turn, or frames came faster than allowed. */
      readonly reason: 'newer' | 'rate';
    }
  | { readonly type: 'error'; readonly message: string };

/** One message of a frame. */
export function writeFrame(frame: Frame): Uint8Array<ArrayBuffer> {
  const message = new Uint8Array(HEADER_BYTES + frame.pixels.length);
  const header = new DataView(message.buffer);
  header.setUint8(0, KIND_FRAME);
  header.setUint8(1, frame.channels);
  header.setUint16(2, frame.width, true);
  header.setUint16(4, frame.height, true);
  header.setUint16(6, frame.restart ? FLAG_RESTART : 0, true);
  header.setUint32(8, frame.sequence, true);
  message.set(frame.pixels, HEADER_BYTES);
  return message;
}

/** The frame in a message, or what is wrong with it. The pixels are a view of the message. */
export function readFrame(message: Uint8Array, limits: FrameLimits): Frame | string {
  if (message.length < HEADER_BYTES) return `a frame has ${HEADER_BYTES} bytes or more, got ${message.length}`;
  const header = new DataView(message.buffer, message.byteOffset, HEADER_BYTES);
  const kind = header.getUint8(0);
  if (kind !== KIND_FRAME) return `a frame begins with ${KIND_FRAME}, got ${kind}`;
  const channels = header.getUint8(1);
  if (channels !== 1 && channels !== 3) return `a frame has 1 or 3 channels, got ${channels}`;
  const width = header.getUint16(2, true);
  const height = header.getUint16(4, true);
  for (const side of [width, height]) {
    if (side < limits.minSide || side > limits.maxSide) {
      return `a frame is ${limits.minSide} to ${limits.maxSide} pixels wide and high, got ${width}x${height}`;
    }
  }
  if (width * height > limits.maxPixels) {
    return `a frame has ${limits.maxPixels} pixels at most, got ${width}x${height}`;
  }
  const flags = header.getUint16(6, true);
  if ((flags & ~KNOWN_FLAGS) !== 0) return `a frame's flags are 0 or ${FLAG_RESTART}, got ${flags}`;
  const size = HEADER_BYTES + width * height * channels;
  if (message.length !== size)
    return `a frame of ${width}x${height}x${channels} has ${size} bytes, got ${message.length}`;
  const restart = (flags & FLAG_RESTART) !== 0;
  return {
    sequence: header.getUint32(8, true),
    restart,
    width,
    height,
    channels,
    pixels: message.subarray(HEADER_BYTES),
  };
}
