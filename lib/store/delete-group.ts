import type { Disk } from './disk.js';
import { OBJECT } from './entry.js';
import { type GroupLayout, groupIndexes } from './group-list.js';
import type { GroupName } from './group-records.js';
import type { IndexedObject } from './object-index.js';

/** Entries deleted in one commit, and an index more at the most. */
const DELETE_BATCH = 256;

/**
 * Deletes all that the disk has of a group that it is no member of. Its record of having been in sync is erased durably
 * before the first deletion. Safe to break off by `signal` or a crash, and to repeat. Nothing else may work on the group.
 */
export async function deleteGroup(
  disk: Disk,
  layout: GroupLayout,
  group: GroupName,
  signal?: AbortSignal,
): Promise<void> {
  if (disk.io.failure) throw disk.io.failure;
  await disk.groups.eraseInsync(group);
  await disk.toDo.drop(group);
  let batch: IndexedObject[] = [];
  for await (const objects of groupIndexes(disk, layout, group.pg)) {
    if (signal?.aborted) return;
    batch.push(...objects);
    if (batch.length < DELETE_BATCH) continue;
    await deleteEntries(disk, group.pg, batch);
    batch = [];
  }
  await deleteEntries(disk, group.pg, batch);
  await forgetActive(disk, layout, group.pg);
  await disk.index.durable();
}

async function deleteEntries(disk: Disk, pg: number, objects: readonly IndexedObject[]): Promise<void> {
  if (objects.length === 0) return;
  await disk.trash.room();
  await disk.index.commit(() => {
    for (const { family, index, layer } of objects) {
      disk.index.remove(family, index, layer);
      disk.activity.forget(disk.layer(family, layer), index);
    }
  });
  for (const { family, index, kind, serial } of objects) {
    if (kind === OBJECT) disk.files.dispose(pg, family, index, serial);
  }
}

/** Objects may be active that have no entry. */
async function forgetActive(disk: Disk, layout: GroupLayout, pg: number): Promise<void> {
  const left = [...disk.layers.values()].flatMap((state) => {
    if (!layout.has(state.family)) return [];
    const objects = [...state.active.values()].filter(({ index }) => layout.groupOf(state.family, index) === pg);
    return objects.map((active) => ({ state, active }));
  });
  if (left.length === 0) return;
  await disk.index.commit(() => {
    for (const { state, active } of left) disk.activity.retireWithin(state, active);
  });
}
