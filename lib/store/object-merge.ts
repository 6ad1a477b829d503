import { OBJECT_BYTES } from './constants.js';
import type { Disk } from './disk.js';
import { type Entry, HOLE, NO_END, NOTHING, OBJECT } from './entry.js';
import type { Place } from './object-create.js';
import { removeEntry } from './object-discard.js';

/**
 * Gives what `layer` has at the index to `child`, if that has nothing there and shows it; else deletes it. The file
 * changes its owner in one commit, and nothing is copied. The caller holds the index alone.
 *
 * `limit` is the child's: bytes of the image up to which it shows what lies below. Throws EIO, DISK_FAILED.
 */
export async function mergeObject(
  disk: Disk,
  place: Place,
  layer: number,
  child: number,
  limit: number,
): Promise<void> {
  if (disk.io.failure) throw disk.io.failure;
  const { family, index } = place;
  const visible = Math.min(OBJECT_BYTES, limit - index * OBJECT_BYTES);
  const kind = disk.index.find(family, index, layer);
  if (kind === NOTHING) return;
  const { foundSerial: serial, foundEnd } = disk.index;
  const modified = disk.index.raisedModified(family, index, layer, disk.index.foundModified);
  // The child's copy may have been made from what goes here: were it torn by a power cut, both would be lost.
  if (disk.index.isUnsynced(family, index, layer) || disk.index.isUnsynced(family, index, child)) {
    await disk.flush(family, [
      { layer, limit: 0 },
      { layer: child, limit: 0 },
    ]);
  }
  if (visible <= 0 || disk.index.find(family, index, child) !== NOTHING) {
    await removeEntry(disk, place, layer);
    return;
  }
  if (kind === OBJECT) await cutDurably(disk, place, layer, serial, visible);
  const end = Math.min(foundEnd, visible);
  const entry: Entry =
    kind === HOLE ? { kind: HOLE, serial: 0, modified, end: NO_END } : { kind: OBJECT, serial, modified, end };
  const source = disk.layer(family, layer);
  const target = disk.layer(family, child);
  await disk.activity.room(target);
  await disk.index.commit(() => {
    const active = source.active.get(index);
    const blocks = disk.index.usage.blocksOf(serial);
    disk.index.remove(family, index, layer);
    disk.activity.forget(source, index);
    disk.index.put(family, index, child, entry, blocks);
    const file = disk.descriptors.get(serial);
    if (file) {
      file.active = null;
      disk.flusher.move(file, target);
    }
    if (!active) return;
    disk.activity.drop(target, disk.activity.record(target, index, Math.max(modified, active.modified), active));
  });
}

/**
 * Cuts the file to what the child shows of it. On disk before the merge is committed: the child's own data is not cut
 * by its limit, so what lies beyond would show if the cut were lost.
 */
async function cutDurably(disk: Disk, place: Place, layer: number, serial: number, visible: number): Promise<void> {
  if (visible >= OBJECT_BYTES) return;
  const file = await disk.files.acquire(place.pg, place.family, place.index, layer, serial);
  if (!file) throw new Error('an index changed under its lock');
  try {
    const { size } = await disk.io.stat(file.fd);
    if (size <= visible) return;
    await disk.io.truncate(file.fd, visible);
    file.whole = false;
    await disk.io.syncData(file.fd);
    disk.flusher.measureFile(file);
  } finally {
    disk.files.release(file);
  }
}
