import { FIELD_MAX } from './constants.js';
import type { Disk } from './disk.js';
import type { EntryKind } from './entry.js';
import type { IndexedObject } from './object-index.js';
import { pause } from './time.js';

/** Entries told at once, and an index more at the most. */
const LIST_BATCH = 1024;
/** Indexes looked up before other work gets a turn. */
const LOOKUPS_BATCH = 512;

/**
 * Where indexes belong, of the families of one redundancy. The store knows no placement: its caller says.
 */
export interface GroupLayout {
  /** Number of groups of each table. */
  readonly groupCount: number;
  /** The group of an index; the next index of a family is in the next group, round and round. */
  groupOf(family: number, index: number): number;
  /** Whether the family has this redundancy. */
  has(family: number): boolean;
}

export interface ListedEntry {
  family: number;
  index: number;
  layer: number;
  kind: EntryKind;
  /** Epoch of the last write, raised where the object was active when the group's `since` changed. */
  modified: number;
  active: boolean;
}

/** A place in the order of a list: entries of this index are behind it. */
export interface ListPosition {
  readonly family: number;
  readonly index: number;
}

/**
 * Everything that the disk has of a group, in the order of family, index and layer, a batch at a time, in which all
 * layers of an index come together; from behind `after` on. Other work gets turns: what changes behind the batch being
 * looked at is not seen again.
 */
export async function* listGroup(
  disk: Disk,
  layout: GroupLayout,
  pg: number,
  after: ListPosition | null = null,
): AsyncGenerator<ListedEntry[]> {
  let batch: ListedEntry[] = [];
  for await (const objects of groupIndexes(disk, layout, pg, after)) {
    for (const object of objects) batch.push(listed(disk, object));
    if (batch.length < LIST_BATCH) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

/** As `listGroup`, the entries of one index at a time. */
export async function* groupIndexes(
  disk: Disk,
  layout: GroupLayout,
  pg: number,
  after: ListPosition | null = null,
): AsyncGenerator<IndexedObject[]> {
  const { groupCount } = layout;
  let lookups = 0;
  let from = after ? after.index + 1 : 0;
  for (let family = disk.index.nextFamily(after?.family ?? 0); family !== null; ) {
    if (family !== after?.family) from = 0;
    let index = layout.has(family) ? atGroup(layout, family, pg, from) : FIELD_MAX + 1;
    while (index <= FIELD_MAX) {
      const objects = disk.index.layersAt(family, index);
      if (++lookups % LOOKUPS_BATCH === 0) await pause(disk.system.time, 0);
      if (objects.length > 0) {
        yield objects;
        index += groupCount;
        continue;
      }
      // Perhaps the image has nothing for long: on to where it has.
      const next = disk.index.nextIndex(family, index + 1);
      if (next === null) break;
      index = atGroup(layout, family, pg, next);
    }
    family = disk.index.nextFamily(family + 1);
  }
}

/** The first index of the family, from `from` on, that is in the group. */
function atGroup({ groupCount, groupOf }: GroupLayout, family: number, pg: number, from: number): number {
  return from + ((pg - (groupOf(family, from) % groupCount) + groupCount) % groupCount);
}

function listed(disk: Disk, { family, index, layer, kind, modified }: IndexedObject): ListedEntry {
  const active = disk.layers.get(family, layer)?.active.get(index);
  return {
    family,
    index,
    layer,
    kind,
    modified: modifiedOf(disk, family, index, layer, modified),
    active: active !== undefined,
  };
}

/** The epoch that an entry counts as modified in; `modified` is what the entry says. */
export function modifiedOf(disk: Disk, family: number, index: number, layer: number, modified: number): number {
  const raised = disk.index.raisedModified(family, index, layer, modified);
  const active = disk.layers.get(family, layer)?.active.get(index);
  return active ? Math.max(raised, active.modified) : raised;
}
