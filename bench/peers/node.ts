// Peers that are npm packages, each in a Node process of its own. Called by bench/peers.ts.
import type { PeerHost } from '../../src/cli/bench/peer';

export async function nodeHosts(_folder: string, _threads: number): Promise<{ found: PeerHost[]; missing: string[] }> {
  return { found: [], missing: [] };
}
