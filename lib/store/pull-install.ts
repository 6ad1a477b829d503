import type { Disk } from './disk.js';
import { HOLE, NO_END, NOTHING, OBJECT } from './entry.js';
import type { GroupName } from './group-records.js';
import type { LayerState } from './layer-state.js';
import { measure } from './measure.js';
import type { Place } from './object-create.js';
import type { IndexedObject } from './object-index.js';
import type { PulledLayer } from './object-pull.js';
import type { OpenFile } from './open-file.js';
import { type Equalled, PulledFiles } from './replaced.js';
import type { ReplacedEntry, ReplacedLayer } from './replaced-record.js';

/** What the commit of a pull leads to. */
interface Outcome {
  /** Layers of which the file has changed. */
  readonly replaced: ReplacedLayer[];
  /** Objects that are active here, and need not be once they are on disk. */
  readonly equalled: Equalled[];
}

/**
 * Switches an index to what was pulled, in one commit. The made files are released; what they replace is kept until they
 * are on disk.
 */
export async function installIndex(
  disk: Disk,
  place: Place,
  layers: readonly PulledLayer[],
  group: GroupName,
): Promise<void> {
  const { family, index } = place;
  const before = disk.index.scan(family, index, index + 1, Number.MAX_SAFE_INTEGER);
  const blocks = layers.map(({ made }) => (made ? (measure(disk.io.files, made.file.fd) ?? 0) : 0));
  const outcome: Outcome = { replaced: [], equalled: [] };
  const files = layers.flatMap(({ made }) => (made ? [made.file] : []));
  const stale = layers.flatMap((layer) => staleFile(disk, place, layer));
  await disk.index.commit(() => {
    for (const [i, layer] of layers.entries()) {
      putLayer(disk, place, layer, entryOf(disk, before, layer.described.layer), blocks[i]!, outcome);
    }
    const described = new Set(layers.map((layer) => layer.described.layer));
    removeOthers(disk, place, described, before, outcome);
    // Of what has no file there is nothing to wait for.
    if (files.length + stale.length === 0) {
      for (const { state, active } of outcome.equalled) disk.activity.retireWithin(state, active);
    }
    if (files.length > 0) disk.replaced.putWithin(place, outcome.replaced);
    disk.toDo.removeWithin(group, family, index);
  });
  letGo(disk, place, outcome.replaced, files.length > 0);
  const pulled = new PulledFiles(place, disk.replaced, outcome.equalled);
  for (const file of [...files, ...stale]) pulled.add(file);
  for (const file of files) {
    file.unsynced = true;
    file.active = file.layer.active.get(index) ?? null;
    disk.flusher.mark(file);
    disk.files.release(file);
  }
  for (const file of stale) disk.flusher.mark(file);
}

/** The own file of a layer that is kept, where it is active here alone: it is to be synced before it is not. */
function staleFile(disk: Disk, { family, index }: Place, { described, kept }: PulledLayer): OpenFile[] {
  const isActive = disk.layers.get(family, described.layer)?.active.has(index);
  return kept && isActive && !described.active ? [kept.file] : [];
}

function entryOf(disk: Disk, before: readonly IndexedObject[], layer: number): ReplacedEntry | null {
  const entry = before.find((object) => object.layer === layer);
  if (!entry) return null;
  const { kind, serial, modified, end } = entry;
  return { kind, serial, modified, end, blocks: kind === OBJECT ? disk.index.usage.blocksOf(serial) : 0 };
}

/** Within the commit. */
function putLayer(
  disk: Disk,
  place: Place,
  { described, made, kept }: PulledLayer,
  before: ReplacedEntry | null,
  blocks: number,
  { replaced, equalled }: Outcome,
): void {
  const { family, index } = place;
  const { layer, kind, modified, end } = described;
  const state = disk.layer(family, layer);
  const { index: entries } = disk;
  if (made) {
    const { serial } = made.file;
    entries.put(family, index, layer, { kind: OBJECT, serial, modified, end: made.end }, blocks);
    entries.markUnsynced(family, index, layer, serial);
    replaced.push({ layer, serial, hole: false, before });
  } else if (kept) {
    entries.put(family, index, layer, { kind: OBJECT, serial: kept.entry.serial, modified, end });
  } else if (kind === HOLE) {
    entries.put(family, index, layer, { kind: HOLE, serial: 0, modified, end: NO_END });
    entries.unmarkUnsynced(family, index, layer);
    if (before?.kind !== HOLE) replaced.push({ layer, serial: 0, hole: true, before });
  } else if (before) {
    entries.remove(family, index, layer, true);
    replaced.push({ layer, serial: 0, hole: false, before });
  }
  if (kind !== NOTHING) entries.removeRaised(family, index, layer);
  inheritActivity(disk, state, place, described, equalled);
}

/** Within the commit: active here as at the source; what is active only here stays so until it is on disk. */
function inheritActivity(
  disk: Disk,
  state: LayerState,
  { family, index }: Place,
  { active: order, modified }: PulledLayer['described'],
  equalled: Equalled[],
): void {
  if (order) {
    const record = disk.activity.record(state, index, modified, order);
    if (record.modified < modified) {
      record.modified = modified;
      disk.index.putActive(family, index, state.layer, record);
    }
    disk.activity.drop(state, record);
    return;
  }
  const active = state.active.get(index);
  if (!active) return;
  const { generation, sequence } = active;
  equalled.push({ state, active, generation, sequence });
}

/** Within the commit: takes away what the source lacks. */
function removeOthers(
  disk: Disk,
  { family, index }: Place,
  described: ReadonlySet<number>,
  before: readonly IndexedObject[],
  { replaced }: Outcome,
): void {
  for (const { layer } of before) {
    if (described.has(layer)) continue;
    replaced.push({ layer, serial: 0, hole: false, before: entryOf(disk, before, layer) });
    disk.index.remove(family, index, layer);
  }
  for (const state of disk.layers.valuesOf(family)) {
    const active = state.active.get(index);
    if (!active || described.has(state.layer)) continue;
    active.retired = true;
    state.active.delete(index);
    disk.index.removeActive(family, index, state.layer);
  }
}

/** The index does not have these files any more; those that may be put back stay where they are. */
function letGo(disk: Disk, { pg, family, index }: Place, replaced: readonly ReplacedLayer[], keep: boolean): void {
  for (const { before } of replaced) {
    if (before?.kind !== OBJECT) continue;
    const file = disk.descriptors.get(before.serial);
    if (keep && file) disk.flusher.forget(file);
    else if (!keep) disk.files.dispose(pg, family, index, before.serial);
  }
}
