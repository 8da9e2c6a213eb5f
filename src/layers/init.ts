// Seeded initial values. Each parameter draws from its own stream, keyed by the graph's seed and the parameter's full
// name, so that adding a layer never changes the weights of another.
import type { Graph, Shape } from '../graph/graph';
import { sizeOf } from '../graph/graph';

/** FNV-1a over the name, mixed with the seed: the start of a parameter's stream. */
function streamKey(seed: number, name: string): number {
  // The multiplier keeps a seed's upper half from cancelling its lower one; seeds below 2^32 do not see it.
  let hash = 0x811c9dc5 ^ (seed % 2 ** 32) ^ Math.imul(Math.floor(seed / 2 ** 32), 0x9e3779b1);
  for (let index = 0; index < name.length; index += 1) {
    hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
  }
  return hash >>> 0;
}

/** Mulberry32: uniform numbers in [0, 1) with 32 bits of state; plenty for initial weights. */
function uniformStream(key: number): () => number {
  let state = key;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Normal values of the given standard deviation for the parameter `name` (Box-Muller). */
export function normal(graph: Graph, name: string, shape: Shape, deviation: number): Float32Array {
  const next = uniformStream(streamKey(graph.seed, graph.scoped(name)));
  const values = new Float32Array(sizeOf(shape));
  for (let index = 0; index < values.length; index += 2) {
    const radius = Math.sqrt(-2 * Math.log(1 - next())) * deviation;
    const angle = 2 * Math.PI * next();
    values[index] = radius * Math.cos(angle);
    if (index + 1 < values.length) values[index + 1] = radius * Math.sin(angle);
  }
  return values;
}

/**
 * `normal`, drawn when it is first read: what a layer passes to `graph.param`. A summary and a plan that shares its weights
 * never read it, and a large network's 60 million numbers take seconds.
 */
export function normalLater(graph: Graph, name: string, shape: Shape, deviation: number): () => Float32Array {
  const absolute = `/${graph.scoped(name)}`;
  return () => normal(graph, absolute, shape, deviation);
}

/** He et al. 2015: standard deviation sqrt(2 / fan-in), for layers before a rectifier. */
export function heNormal(graph: Graph, name: string, shape: Shape, fanIn: number): Float32Array {
  return normal(graph, name, shape, Math.sqrt(2 / fanIn));
}
