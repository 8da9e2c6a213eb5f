// Saves and loads what a fitted feature step holds, as float64 safetensors with its kind in the metadata. Called by
// standardizer.ts and pca.ts. The rule easy to break: extents that share a name must agree in every tensor of a file.
import { CheckpointError } from '../errors';
import { loadSafetensors, type StoredTensor, saveSafetensors } from '../train/safetensors';

const KIND = 'features';

/** Writes `tensors` with the metadata features=kind. */
export async function saveFitted(path: string, kind: string, tensors: Record<string, StoredTensor>): Promise<void> {
  await saveSafetensors(path, tensors, { [KIND]: kind });
}

/**
 * Reads the tensors of `layout`, which names each one's extents. Throws CheckpointError unless the file is of this kind,
 * undamaged, and holds exactly these tensors as finite float64 numbers with agreeing extents.
 */
export async function loadFitted<Names extends string>(
  path: string,
  kind: string,
  layout: Readonly<Record<Names, readonly string[]>>,
): Promise<Record<Names, Float64Array>> {
  const fail = (reason: string): never => {
    throw new CheckpointError(`[${kind}] ${path}: ${reason}`);
  };
  const { tensors, metadata } = await loadSafetensors(path, { requireChecksum: true });
  if (metadata[KIND] !== kind) fail(`expected a file of kind ${kind}, got ${metadata[KIND] ?? 'none'}`);
  const names = Object.keys(layout) as Names[];
  const extra = Object.keys(tensors).find((name) => !names.includes(name as Names));
  if (extra !== undefined) fail(`tensor ${JSON.stringify(extra)} does not belong here`);
  const extents = new Map<string, number>();
  const loaded = names.map((name) => {
    const tensor = tensors[name] ?? fail(`tensor ${JSON.stringify(name)} is missing`);
    const { shape, data } = tensor;
    if (!(data instanceof Float64Array) || !data.every(Number.isFinite)) {
      return fail(`tensor ${JSON.stringify(name)} does not hold finite float64 numbers`);
    }
    const wanted = layout[name];
    for (const [i, axis] of wanted.entries()) {
      const known = extents.get(axis) ?? shape[i];
      if (shape.length !== wanted.length || known !== shape[i]) {
        fail(`tensor ${JSON.stringify(name)} has the shape [${shape.join(', ')}], expected [${wanted.join(', ')}]`);
      }
      extents.set(axis, shape[i]!);
    }
    return [name, data] as const;
  });
  return Object.fromEntries(loaded) as Record<Names, Float64Array>;
}
