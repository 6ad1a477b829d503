import type { Chain, ChainLayer } from '../replication/object-io.js';
import type { FamilyRecord, LayerRecord } from './records.js';

/** Pure functions on a family's layers. Each answers a new record and leaves its argument alone. */

export function newFamily(id: number, copies: number, vdi: number): FamilyRecord {
  const layers = { 1: { parent: null, limit: 0 } };
  return { id, version: 1, copies, nextLayer: 2, layers, images: { [vdi]: 1 }, doomed: [], merging: [] };
}

/** To be stored in the place of the record that it was made from. */
export function nextVersion(family: FamilyRecord): FamilyRecord {
  return { ...family, version: family.version + 1 };
}

/** The layer that an image writes to. */
export function topOf(family: FamilyRecord, vdi: number): number {
  const layer = family.images[vdi];
  if (layer === undefined) throw new Error(`family ${family.id} has no image ${vdi}`);
  return layer;
}

export function layerOf(family: FamilyRecord, layer: number): LayerRecord {
  const record = family.layers[layer];
  if (!record) throw new Error(`family ${family.id} has no layer ${layer}`);
  return record;
}

/** What an image sees. */
export function chainOf(family: FamilyRecord, vdi: number): Chain {
  const layers: ChainLayer[] = [];
  for (let at: number | null = topOf(family, vdi); at !== null; ) {
    const record: LayerRecord = layerOf(family, at);
    layers.push({ layer: at, limit: record.limit });
    at = record.parent;
  }
  return { family: family.id, layers };
}

/**
 * Puts a new layer on top of `parent` and makes it what the image writes to; the parent's data shows through it up to
 * `limit` bytes.
 */
export function pushLayer(family: FamilyRecord, vdi: number, parent: number, limit: number): FamilyRecord {
  const layer = family.nextLayer;
  return {
    ...family,
    nextLayer: layer + 1,
    layers: { ...family.layers, [layer]: { parent, limit } },
    images: { ...family.images, [vdi]: layer },
  };
}

export function removeImage(family: FamilyRecord, vdi: number): FamilyRecord {
  const { [vdi]: _gone, ...images } = family.images;
  return planCleaning({ ...family, images });
}

export function setLimit(family: FamilyRecord, layer: number, limit: number): FamilyRecord {
  return { ...family, layers: { ...family.layers, [layer]: { ...layerOf(family, layer), limit } } };
}

/**
 * Finds what has become useless: layers that no image reaches are doomed; a layer with exactly one child, no image of
 * its own and no work under way on it is to be merged into that child.
 */
export function planCleaning(family: FamilyRecord): FamilyRecord {
  const tops = new Set(Object.values(family.images));
  const reached = new Set<number>();
  for (const top of tops) {
    for (let at: number | null = top; at !== null && !reached.has(at); at = layerOf(family, at).parent) {
      reached.add(at);
    }
  }
  const all = Object.keys(family.layers).map(Number);
  const doomed = all.filter((layer) => !reached.has(layer));
  // What has been moved already goes with the child, so a merge whose layers are doomed is simply dropped.
  const merging = family.merging.filter(({ layer, child }) => reached.has(layer) && reached.has(child));
  const busy = new Set(merging.flatMap(({ layer, child }) => [layer, child]));
  const children = new Map<number, number[]>();
  for (const layer of reached) {
    const { parent } = layerOf(family, layer);
    if (parent !== null) children.set(parent, [...(children.get(parent) ?? []), layer]);
  }
  for (const [layer, [child, ...others]] of [...children].sort(([a], [b]) => a - b)) {
    if (others.length > 0 || tops.has(layer) || busy.has(layer) || busy.has(child!)) continue;
    merging.push({ layer, child: child! });
    busy.add(layer).add(child!);
  }
  return { ...family, doomed, merging };
}

/** Gives the image's present layer a name of its own: it is written no more, and the image goes on in a new one on top. */
export function pushSnapshot(family: FamilyRecord, vdi: number, snapshot: number, limit: number): FamilyRecord {
  const top = topOf(family, vdi);
  const pushed = pushLayer(family, vdi, top, limit);
  return { ...pushed, images: { ...pushed.images, [snapshot]: top } };
}

/** Makes the image show what its snapshot does; what only the image had is given up. */
export function rollBack(family: FamilyRecord, vdi: number, snapshot: number, limit: number): FamilyRecord {
  return planCleaning(pushLayer(family, vdi, topOf(family, snapshot), limit));
}

/** Layers that a family's disks have to delete, or to merge. */
export function workOf({ doomed, merging }: FamilyRecord): number[] {
  return [...doomed, ...merging.map(({ layer }) => layer)];
}

/** Notes that this disk has nothing of a layer any more. Null where that is known, or the layer forgotten. */
export function confirm(family: FamilyRecord, layer: number, disk: number): FamilyRecord | null {
  if (!workOf(family).includes(layer)) return null;
  const known = family.confirmed?.[layer] ?? [];
  if (known.includes(disk)) return null;
  return { ...family, confirmed: { ...family.confirmed, [layer]: [...known, disk] } };
}

/** Whether every one of these disks has confirmed that it has nothing of the layer any more. */
export function isConfirmed({ confirmed }: FamilyRecord, layer: number, disks: readonly number[]): boolean {
  const known = new Set(confirmed?.[layer]);
  return disks.every((disk) => known.has(disk));
}

/** What is left when no disk has anything of the layer. */
export function forgetLayer(family: FamilyRecord, layer: number): FamilyRecord {
  const { [layer]: _confirmed, ...confirmed } = family.confirmed ?? {};
  const merge = family.merging.find((each) => each.layer === layer);
  const left = { ...family, confirmed };
  // A merge may have left its child with another one to merge with.
  return merge ? planCleaning(finishMerge(left, layer, merge.child)) : forgetDoomed(left, layer);
}

export function forgetDoomed(family: FamilyRecord, layer: number): FamilyRecord {
  const { [layer]: _gone, ...layers } = family.layers;
  return { ...family, layers, doomed: family.doomed.filter((other) => other !== layer) };
}

/** After everything of `layer` was given to `child`: the child takes its place in the chain. */
export function finishMerge(family: FamilyRecord, layer: number, child: number): FamilyRecord {
  const { [layer]: merged, ...layers } = family.layers;
  const upper = layerOf(family, child);
  if (!merged || upper.parent !== layer)
    throw new Error(`family ${family.id}: layer ${child} is not on top of ${layer}`);
  return {
    ...family,
    layers: { ...layers, [child]: { parent: merged.parent, limit: Math.min(upper.limit, merged.limit) } },
    merging: family.merging.filter((merge) => merge.layer !== layer),
  };
}
