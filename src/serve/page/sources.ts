// Where pictures come from: the camera, a video file, a photograph. live.ts starts and stops them. The rule easy to break:
// a frame is read at the size it is sent at, and its pixels are kept by nobody once they are sent.
import type { Image } from '../../faces/types';
import type { FrameLimits } from './protocol.js';

/** Longest side that a video's frames are sent at. */
const VIDEO_SIDE = 640;

const canvas = document.createElement('canvas');
const context = canvas.getContext('2d', { willReadFrequently: true });

type Picture = HTMLVideoElement | ImageBitmap;

const sizeOf = (picture: Picture): [width: number, height: number] =>
  picture instanceof HTMLVideoElement ? [picture.videoWidth, picture.videoHeight] : [picture.width, picture.height];

/** The picture as RGB bytes, at most `side` pixels wide and high and within the limits; undefined when it is too thin. */
function grab(picture: Picture, side: number, limits: FrameLimits): Image | undefined {
  const [fullWidth, fullHeight] = sizeOf(picture);
  const most = Math.min(side, limits.maxSide);
  const scale = Math.min(
    1,
    most / Math.max(fullWidth, fullHeight),
    Math.sqrt(limits.maxPixels / (fullWidth * fullHeight)),
  );
  const [width, height] = [Math.floor(fullWidth * scale), Math.floor(fullHeight * scale)];
  if (!context || Math.min(width, height) < limits.minSide) return undefined;
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  context.drawImage(picture, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  const pixels = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    pixels[to] = data[from] as number;
    pixels[to + 1] = data[from + 1] as number;
    pixels[to + 2] = data[from + 2] as number;
  }
  return { width, height, channels: 3, pixels };
}

export const grabVideo = (video: HTMLVideoElement, limits: FrameLimits): Image | undefined =>
  grab(video, VIDEO_SIDE, limits);
export const grabPhoto = (photo: ImageBitmap, limits: FrameLimits): Image | undefined =>
  grab(photo, limits.maxSide, limits);

/** Calls back once for each picture that the video shows. */
export function onVideoFrame(video: HTMLVideoElement, call: () => void): void {
  if ('requestVideoFrameCallback' in video) video.requestVideoFrameCallback(call);
  else requestAnimationFrame(call);
}

/** Why the camera cannot be had, for people. */
function cameraTrouble(error: unknown): string {
  const name = error instanceof DOMException ? error.name : '';
  if (name === 'NotAllowedError') return 'The browser did not allow this page to use the camera.';
  if (name === 'NotFoundError' || name === 'OverconstrainedError') return 'There is no such camera.';
  if (name === 'NotReadableError') return 'The camera is in use by another program.';
  return 'The camera could not be started.';
}

/** A camera's pictures; throws with a sentence for people. */
export async function openCamera(device: string): Promise<MediaStream> {
  if (!navigator.mediaDevices) throw new Error('This browser gives the page no camera.');
  const wanted = device ? { deviceId: { exact: device } } : { facingMode: 'user' };
  try {
    const video = { ...wanted, width: { ideal: VIDEO_SIDE }, height: { ideal: 480 } };
    return await navigator.mediaDevices.getUserMedia({ video, audio: false });
  } catch (error) {
    throw new Error(cameraTrouble(error));
  }
}

/** The cameras there are, by name; the browser tells names only after one was allowed. */
export async function cameras(): Promise<{ id: string; name: string }[]> {
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices
    .filter(({ kind, deviceId }) => kind === 'videoinput' && deviceId !== '')
    .map(({ deviceId, label }, index) => ({ id: deviceId, name: label || `camera ${index + 1}` }));
}
