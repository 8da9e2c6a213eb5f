// Starts what `gramian serve` shows: the recogniser, when there are weights for one, and the server over it. Called through
// engine.ts. The rule easy to break: the recogniser belongs to whoever loaded it, so it is freed here, after the server.
import { GramianError } from '../errors';
import type { DetectorName, LoadRecognizerOptions } from '../faces';

export interface ServeSettings {
  readonly port: number;
  /** Folder of the training run to show. */
  readonly run?: string;
  /** What finds faces and what tells expressions. */
  readonly faces: LoadRecognizerOptions;
  /** The live page was asked for: without weights for it nothing starts. Else only the run is shown then. */
  readonly needsFaces: boolean;
}

export interface Served {
  readonly url: string;
  readonly port: number;
  /** What finds and what classifies, in words; absent without a live page. */
  readonly about?: string;
  /** Why there is no live page. */
  readonly missing?: string;
  /** Ends every connection and frees the recogniser. */
  close(): Promise<void>;
}

function aboutOf({ detector = 'tiny', run: classifier = 'face-api', attributes }: LoadRecognizerOptions): string {
  const finder: Record<DetectorName, string> = { tiny: 'face-api’s tiny network', mtcnn: 'MTCNN' };
  const parts = [`Faces are found by ${finder[detector]} and followed by kernelised correlation filters`];
  if (classifier !== 'none') {
    parts.push(`expressions are told by ${classifier === 'face-api' ? 'face-api’s network' : `the run ${classifier}`}`);
  }
  if (attributes) parts.push('gender and age are estimated by face-api’s network');
  return `${parts.join('; ')}.`;
}

/** Rejects as `serve` and, when the live page is needed, as `loadRecognizer`. */
export async function startServing(settings: ServeSettings, onProblem: (text: string) => void): Promise<Served> {
  const { port, run, needsFaces } = settings;
  const { loadRecognizer } = await import('../faces/index.js');
  const { serve } = await import('../serve/server.js');
  let missing: string | undefined;
  const faces = await loadRecognizer(settings.faces).catch((error: unknown) => {
    if (needsFaces || !(error instanceof GramianError)) throw error;
    missing = error.message;
    return undefined;
  });
  const about = aboutOf(settings.faces);
  try {
    const server = await serve({
      port,
      onProblem,
      ...(run === undefined ? {} : { run }),
      ...(faces ? { faces, about } : {}),
    });
    return {
      ...{ url: server.url, port: server.port },
      ...(faces ? { about } : {}),
      ...(missing === undefined ? {} : { missing }),
      async close() {
        await server.close();
        faces?.dispose();
      },
    };
  } catch (error) {
    faces?.dispose();
    throw error;
  }
}
