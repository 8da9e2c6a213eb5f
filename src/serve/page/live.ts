// The live page: a source's pictures go to the engine, its answers onto the picture, the cards and the figures. The rule
// easy to break: a frame is sent only when the connection is ready for it; a video shows on while frames are left out.
import type { FaceFrame } from '../../faces/types';
import { askAbout, byId, takeToken } from './access.js';
import { Connection, type Handlers } from './connection.js';
import { FaceCards } from './faceCards.js';
import { drawFaces } from './overlay.js';
import type { FrameLimits } from './protocol.js';
import { cameras, grabPhoto, grabVideo, onVideoFrame, openCamera } from './sources.js';

const stage = byId('stage', HTMLElement);
const video = byId('video', HTMLVideoElement);
const photo = byId('photo', HTMLCanvasElement);
const overlay = byId('overlay', HTMLCanvasElement);
const empty = byId('empty', HTMLElement);
const status = byId('status', HTMLElement);
const cameraButton = byId('camera', HTMLButtonElement);
const stopButton = byId('stop', HTMLButtonElement);
const mirror = byId('mirror', HTMLInputElement);
const devices = byId('devices', HTMLSelectElement);
const cards = new FaceCards(byId('faces', HTMLElement), byId('no-faces', HTMLElement));
const token = takeToken();

/** What is looked at. `opened` tells a source from the ones before, whose late answers count for nothing. */
const source = { kind: 'none' as 'none' | 'camera' | 'video' | 'photo', opened: 0, firstFrame: 0, restart: true };
let limits: FrameLimits | undefined;
let bitmap: ImageBitmap | undefined;
let shown: FaceFrame | undefined;

function say(text: string, bad = false): void {
  if (status.textContent !== text) status.textContent = text;
  status.classList.toggle('bad', bad);
}

const mirrored = (): boolean => source.kind === 'camera' && mirror.checked;

/** Times of answers within the last two seconds, and figures smoothed over them. */
class Meter {
  readonly #answers: number[] = [];
  readonly #smooth = new Map<string, number>();
  #dropped = 0;
  #shown = 0;

  reset(): void {
    this.#answers.length = 0;
    this.#smooth.clear();
    this.#dropped = 0;
  }

  drop(): void {
    this.#dropped += 1;
  }

  answer({ timings }: FaceFrame, trip: number): void {
    const now = performance.now();
    this.#answers.push(now);
    while ((this.#answers[0] ?? now) < now - 2000) this.#answers.shift();
    for (const [name, value] of [['trip', trip], ...Object.entries(timings)] as [string, number][]) {
      // A stage that did not run says nothing about how long it takes.
      if (value > 0) this.#smooth.set(name, 0.85 * (this.#smooth.get(name) ?? value) + 0.15 * value);
    }
    if (now - this.#shown > 250) this.#show(now);
  }

  #show(now: number): void {
    this.#shown = now;
    const [first] = this.#answers;
    const rate = first !== undefined && now > first ? ((this.#answers.length - 1) * 1000) / (now - first) : 0;
    byId('rate', HTMLElement).textContent = rate > 0 ? rate.toFixed(1) : '–';
    byId('trip', HTMLElement).textContent = this.#text('trip');
    byId('dropped', HTMLElement).textContent = String(this.#dropped);
    for (const cell of document.querySelectorAll<HTMLElement>('[data-stage]')) {
      cell.textContent = this.#text(cell.dataset.stage ?? '');
    }
  }

  #text(name: string): string {
    const value = this.#smooth.get(name);
    return value === undefined ? '–' : value.toFixed(value < 10 ? 2 : 1);
  }
}
const meter = new Meter();

/** Announces the number of faces when it changes, and not for every flicker. */
let announced = Number.NEGATIVE_INFINITY;
function announce(count: number): void {
  const now = performance.now();
  const text = `${count === 0 ? 'No face' : count === 1 ? 'One face' : `${count} faces`}${source.kind === 'photo' ? ' in the photograph' : ''}.`;
  if (text === status.textContent || now - announced < 1000) return;
  announced = now;
  say(text);
}

let connection: Connection | undefined;
const handlers: Handlers = {
  hello(message) {
    limits = message.limits;
    byId('about', HTMLElement).textContent = message.about;
    say(source.kind === 'none' ? 'Ready.' : 'Looking for faces.');
    source.restart = true;
    if (source.kind === 'photo') lookAtPhoto();
  },
  faces(message, trip) {
    if (source.kind === 'none' || message.sequence < source.firstFrame) return;
    shown = message;
    meter.answer(message, trip);
    cards.show(message.faces);
    drawFaces(overlay, message, mirrored());
    announce(message.faces.length);
  },
  dropped: () => meter.drop(),
  lost(reason) {
    drawFaces(overlay, undefined, false);
    if (reason) return say(`The engine closed the connection: ${reason}.`, true);
    // A refused opening tells the page nothing; a data route says what is wrong.
    const busy = 'No connection to the engine; perhaps too many pages are open. Trying again…';
    askAbout(token).then(
      () => say(busy, true),
      (error: Error) => say(error.message, true),
    );
  },
};

function send(image: ReturnType<typeof grabVideo>): void {
  if (!image) say('This picture is too small or too narrow to look for faces in.', true);
  if (!image || !connection) return;
  const sequence = connection.send({ ...image, restart: source.restart });
  if (source.restart) source.firstFrame = sequence;
  source.restart = false;
}

/** Forgets the source; answers the number of the next one. */
function stop(): number {
  const { srcObject } = video;
  if (srcObject instanceof MediaStream) for (const track of srcObject.getTracks()) track.stop();
  video.pause();
  video.srcObject = null;
  if (video.src) URL.revokeObjectURL(video.src);
  video.removeAttribute('src');
  bitmap?.close();
  bitmap = undefined;
  photo.width = 0;
  shown = undefined;
  Object.assign(source, { kind: 'none', opened: source.opened + 1, restart: true });
  cards.show([]);
  meter.reset();
  announced = Number.NEGATIVE_INFINITY;
  layout();
  return source.opened;
}

/** Shows what belongs to the source. */
function layout(): void {
  const { kind } = source;
  video.hidden = kind !== 'camera' && kind !== 'video';
  photo.hidden = kind !== 'photo';
  empty.hidden = kind !== 'none';
  stopButton.hidden = kind === 'none';
  cameraButton.setAttribute('aria-pressed', String(kind === 'camera'));
  byId('mirror-label', HTMLElement).hidden = kind !== 'camera';
  byId('devices-label', HTMLElement).hidden = kind !== 'camera' || devices.options.length < 2;
  stage.classList.toggle('mirrored', mirrored());
  const [width, height] = kind === 'photo' ? [photo.width, photo.height] : [video.videoWidth, video.videoHeight];
  stage.style.setProperty('--ratio', String(width > 0 && height > 0 && kind !== 'none' ? width / height : 4 / 3));
  drawFaces(overlay, shown, mirrored());
}

/** Sends the video's pictures as long as it is the source. */
function follow(opened: number): void {
  if (source.opened !== opened) return;
  if (limits && !document.hidden && video.readyState >= video.HAVE_CURRENT_DATA && connection?.ready) {
    send(grabVideo(video, limits));
  }
  onVideoFrame(video, () => follow(opened));
}

async function play(kind: 'camera' | 'video', opened: number): Promise<void> {
  source.kind = kind;
  await video.play();
  if (source.opened !== opened) return;
  layout();
  say('Looking for faces.');
  follow(opened);
}

async function startCamera(): Promise<void> {
  const opened = stop();
  say('Asking for the camera…');
  let track: MediaStreamTrack | undefined;
  try {
    const stream = await openCamera(devices.value);
    if (source.opened !== opened) return stream.getTracks().forEach((one) => void one.stop());
    video.srcObject = stream;
    [track] = stream.getVideoTracks();
    track?.addEventListener('ended', () => {
      if (source.opened !== opened) return;
      stop();
      say('The camera was switched off.', true);
    });
    await play('camera', opened).catch(() => {
      throw new Error('The camera could not be started.');
    });
  } catch (error) {
    if (source.opened !== opened) return;
    stop();
    // The chosen camera may be gone: the next try takes any.
    devices.replaceChildren();
    throw error;
  }
  const current = track?.getSettings().deviceId;
  const options = (await cameras()).map(({ id, name }) => new Option(name, id, false, id === current));
  devices.replaceChildren(...options);
  layout();
}

async function startVideo(file: Blob): Promise<void> {
  const opened = stop();
  video.loop = true;
  video.src = URL.createObjectURL(file);
  try {
    await play('video', opened);
  } catch {
    if (source.opened !== opened) return;
    stop();
    throw new Error('This browser cannot play that video.');
  }
}

async function startPhoto(file: Blob): Promise<void> {
  const opened = stop();
  const made = await createImageBitmap(file).catch(() => undefined);
  if (source.opened !== opened) return made?.close();
  if (!made) throw new Error('This browser cannot read that picture.');
  bitmap = made;
  source.kind = 'photo';
  photo.width = made.width;
  photo.height = made.height;
  photo.getContext('2d')?.drawImage(made, 0, 0);
  layout();
  say('Looking for faces.');
  lookAtPhoto();
}

/** Sends the photograph once the connection is ready. */
function lookAtPhoto(): void {
  const { opened } = source;
  const attempt = (): void => {
    if (source.opened !== opened || !bitmap || !source.restart) return;
    if (!limits || !connection?.ready) setTimeout(attempt, 50);
    else send(grabPhoto(bitmap, limits));
  };
  attempt();
}

/** Runs what a button started and tells people what went wrong. */
function attempt(work: Promise<unknown>): void {
  work.catch((error: unknown) => {
    say(error instanceof Error ? error.message : String(error), true);
    if (source.kind === 'none') layout();
  });
}

function startFile(file: File | undefined): void {
  if (!file) return;
  attempt(file.type.startsWith('video/') ? startVideo(file) : startPhoto(file));
}

function stopAndSay(): void {
  stop();
  say('Stopped.');
}

function listen(): void {
  cameraButton.onclick = () => (source.kind === 'camera' ? stopAndSay() : attempt(startCamera()));
  stopButton.onclick = () => {
    stopAndSay();
    cameraButton.focus();
  };
  devices.onchange = () => attempt(startCamera());
  mirror.onchange = layout;
  for (const [button, input] of [
    ['choose-video', 'video-file'],
    ['choose-photo', 'photo-file'],
  ] as const) {
    const field = byId(input, HTMLInputElement);
    byId(button, HTMLButtonElement).onclick = () => field.click();
    field.onchange = () => {
      startFile(field.files?.[0]);
      field.value = '';
    };
  }
  // Seeking and starting over are cuts: nothing of the frames before applies.
  video.onseeking = () => {
    source.restart = true;
  };
  video.onresize = layout;
  addEventListener('resize', () => drawFaces(overlay, shown, mirrored()));
  addEventListener('keydown', ({ key }) => key === 'Escape' && source.kind !== 'none' && stopAndSay());
  addEventListener('dragover', (event) => {
    event.preventDefault();
    stage.classList.add('over');
  });
  addEventListener('dragleave', () => stage.classList.remove('over'));
  addEventListener('drop', (event) => {
    event.preventDefault();
    stage.classList.remove('over');
    startFile(event.dataTransfer?.files[0]);
  });
}

listen();
askAbout(token)
  .then(({ live, run }) => {
    byId('to-run', HTMLElement).hidden = run === null;
    if (live) connection = new Connection(token, handlers);
    else say('This server shows a training run and looks for no faces.', true);
  })
  .catch((error: Error) => say(error.message, true));
