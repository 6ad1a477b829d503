import type { Disk } from './disk.js';
import { OBJECT } from './entry.js';
import { type GroupLayout, groupIndexes } from './group-list.js';
import type { GroupName } from './group-records.js';
import type { Releasable } from './object-write.js';
import type { IndexName } from './to-do.js';

/** Indexes deleted in one commit. */
const DELETE_BATCH = 256;

export interface DeleteOptions {
  /** Broken off where it stands, safe to be repeated. */
  readonly signal?: AbortSignal;
  /** Holds an index alone while it is deleted. Not needed where nothing else can work on the group. */
  exclusive?(family: number, index: number): Promise<Releasable>;
  /** Awaited between two commits. */
  pause?(): Promise<void>;
}

/**
 * Deletes all that the disk has of a group that it is no member of, and its record last. That it has been in sync is
 * erased durably before the first deletion. Safe to break off by a signal or a crash, and to repeat. Nothing is added to
 * the group meanwhile.
 */
export async function deleteGroup(
  disk: Disk,
  layout: GroupLayout,
  group: GroupName,
  options: DeleteOptions = {},
): Promise<void> {
  const { signal, pause } = options;
  if (disk.io.failure) throw disk.io.failure;
  await disk.groups.eraseInsync(group);
  await disk.toDo.drop(group);
  let batch: IndexName[] = [];
  for await (const objects of groupIndexes(disk, layout, group.pg)) {
    if (signal?.aborted) return;
    batch.push(objects[0]!);
    if (batch.length < DELETE_BATCH) continue;
    await deleteIndexes(disk, group.pg, batch, options);
    batch = [];
    await pause?.();
  }
  if (signal?.aborted) return;
  await deleteIndexes(disk, group.pg, batch, options);
  if (signal?.aborted) return;
  await forget(disk, layout, group);
  await disk.index.durable();
}

async function deleteIndexes(
  disk: Disk,
  pg: number,
  indexes: readonly IndexName[],
  { exclusive }: DeleteOptions,
): Promise<void> {
  if (indexes.length === 0) return;
  await disk.trash.room();
  const held: Releasable[] = [];
  try {
    for (const { family, index } of indexes) if (exclusive) held.push(await exclusive(family, index));
    const objects = indexes.flatMap(({ family, index }) => {
      return disk.index.scan(family, index, index + 1, Number.MAX_SAFE_INTEGER);
    });
    await disk.index.commit(() => {
      for (const { family, index, layer } of objects) {
        disk.index.remove(family, index, layer);
        disk.activity.forget(disk.layer(family, layer), index);
      }
    });
    for (const { family, index, kind, serial } of objects) {
      if (kind === OBJECT) disk.files.dispose(pg, family, index, serial);
    }
  } finally {
    for (const lock of held) lock.release();
  }
}

/** What is left are records: of the group, and of active objects that have no entry. */
async function forget(disk: Disk, layout: GroupLayout, group: GroupName): Promise<void> {
  const left = [...disk.layers.values()].flatMap((state) => {
    if (!layout.has(state.family)) return [];
    const objects = [...state.active.values()].filter(({ index }) => layout.groupOf(state.family, index) === group.pg);
    return objects.map((active) => ({ state, active }));
  });
  await disk.index.commit(() => {
    for (const { state, active } of left) disk.activity.retireWithin(state, active);
    disk.groups.forgetWithin(group);
  });
}
