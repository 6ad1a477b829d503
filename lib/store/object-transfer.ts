import { OBJECT_BYTES } from './constants.js';
import type { Disk } from './disk.js';
import { OBJECT } from './entry.js';
import { copyContent, fillObject, isWhole } from './file-content.js';
import { measure } from './measure.js';
import type { Place } from './object-create.js';
import type { IndexedObject } from './object-index.js';
import type { OpenFile } from './open-file.js';
import { StoreError } from './store-error.js';

/**
 * Moves an index, all its layers together, from one disk to another. The target has everything durably before the
 * source gives anything up. The caller holds the index alone; the target has nothing there. Answers the bytes copied.
 * Throws ENOSPC, EIO, DISK_FAILED; the index is then where it was.
 */
export async function transferIndex(source: Disk, target: Disk, place: Place): Promise<number> {
  const { pg, family, index } = place;
  const objects = source.index.scan(family, index, index + 1, Number.MAX_SAFE_INTEGER);
  if (objects.length === 0) return 0;
  if ((await target.space.current()) === 'full') {
    throw new StoreError('ENOSPC', `${target.directory} is full: nothing can be moved to it`);
  }
  const copies: OpenFile[] = [];
  let bytes = 0;
  try {
    for (const object of objects) {
      if (object.kind !== OBJECT) continue;
      const { file, length } = await copyFile(source, target, pg, object);
      copies.push(file);
      bytes += length;
      await target.io.syncData(file.fd);
    }
    if (copies.length > 0) await target.files.syncGroup(pg);
    for (const { layer } of objects) await target.activity.room(target.layer(family, layer));
    const blocks = copies.map((file) => measure(target.io.files, file.fd) ?? 0);
    await target.index.commit(() => {
      let next = 0;
      for (const { kind, layer, end, ...object } of objects) {
        const modified = source.index.raisedModified(family, index, layer, object.modified);
        const copy = kind === OBJECT ? next++ : -1;
        const serial = copies[copy]?.serial ?? 0;
        target.index.put(family, index, layer, { kind, serial, modified, end }, blocks[copy]);
        const active = source.layers.get(family, layer)?.active.get(index);
        if (!active) continue;
        const state = target.layer(family, layer);
        target.activity.drop(state, target.activity.record(state, index, Math.max(modified, active.modified), active));
      }
    });
    await target.index.durable();
  } catch (error) {
    for (const file of copies) {
      target.files.release(file);
      target.files.dispose(pg, family, index, file.serial);
    }
    throw error;
  }
  for (const file of copies) {
    file.fresh = false;
    target.files.release(file);
  }
  await removeIndex(source, place);
  return bytes;
}

async function copyFile(
  source: Disk,
  target: Disk,
  pg: number,
  object: IndexedObject,
): Promise<{ file: OpenFile; length: number }> {
  const { family, index, layer, serial } = object;
  const from = await source.files.acquire(pg, family, index, layer, serial);
  if (!from) throw new Error('an index changed under its lock');
  const release = target.space.promise(OBJECT_BYTES);
  try {
    const file = await target.files.create(pg, family, index, layer);
    try {
      const { size } = await source.io.stat(from.fd);
      await copyContent({ disk: source, file: from }, { disk: target, file }, size);
      // An object that was promised its blocks keeps them.
      if (await isWhole(source, from)) await fillObject(target, file);
      return { file, length: size };
    } catch (error) {
      target.files.release(file);
      target.files.dispose(pg, family, index, file.serial);
      throw error;
    }
  } finally {
    release();
    source.files.release(from);
  }
}

/** Deletes all layers of an index, with whatever refers to them, from a disk. The caller holds the index alone. */
export async function removeIndex(disk: Disk, place: Place): Promise<void> {
  const { pg, family, index } = place;
  await disk.trash.room();
  const objects = disk.index.scan(family, index, index + 1, Number.MAX_SAFE_INTEGER);
  if (objects.length === 0) return;
  await disk.index.commit(() => {
    for (const { layer } of objects) {
      disk.index.remove(family, index, layer);
      disk.activity.forget(disk.layer(family, layer), index);
    }
  });
  for (const { kind, serial } of objects) if (kind === OBJECT) disk.files.dispose(pg, family, index, serial);
}
