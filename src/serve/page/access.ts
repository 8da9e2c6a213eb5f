// What both views share: the token from the address, asking the server with it, and the links between the views. The rule
// easy to break: the token leaves the address bar at once and lives as long as the tab.

const KEPT = 'gramian-token';

/** The element of this id; a page without it is broken. */
export function byId<T extends HTMLElement>(id: string, kind: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${kind.name} "${id}"`);
  return found;
}

/** The token of the address's fragment, which is then taken out of it, or the one kept before, or one that is wrong. */
export function takeToken(): string {
  // Another address pasted into this tab, such as that of a server started anew, changes only the fragment.
  addEventListener('hashchange', () => location.reload());
  const given = location.hash.slice(1);
  if (/^[\w-]{16,128}$/.test(given)) {
    sessionStorage.setItem(KEPT, given);
    history.replaceState(null, '', location.pathname);
  }
  return sessionStorage.getItem(KEPT) ?? 'none';
}

const NO_ACCESS = 'This tab has no valid token. Open the address that gramian serve printed in its terminal.';
const NO_SERVER = 'The server does not answer. Is gramian serve still running?';

/** The answer of a data route; throws with a sentence for people when there is none. */
export async function ask(path: string, token: string, headers: Record<string, string> = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { headers: { authorization: `Bearer ${token}`, ...headers }, cache: 'no-store' });
  } catch {
    throw new Error(NO_SERVER);
  }
  if (response.status === 401) throw new Error(NO_ACCESS);
  if (!response.ok && response.status !== 304) throw new Error(`${response.status}: ${await response.text()}`);
  return response;
}

export interface About {
  readonly live: boolean;
  /** Folder of the run. */
  readonly run: string | null;
}

/** What this server shows. */
export async function askAbout(token: string): Promise<About> {
  return (await (await ask('/api/about', token)).json()) as About;
}
