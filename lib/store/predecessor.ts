import type { Disk } from './disk.js';
import { type Key, OBJECT } from './entry.js';
import type { ObjectIndex } from './object-index.js';
import { messageOf } from './store-error.js';
import type { System } from './system.js';

/*
 * What a process that had the disk open before has left: after a power cut, copies that may be torn; after a mere end of
 * the process, writes in the page cache.
 */

/**
 * Within a commit: takes out the objects whose copies a power cut may have torn, so that what they hide shows again; not
 * those for which `handled` says that it was seen to.
 */
export function dropUnsynced(index: ObjectIndex, handled: (key: Key) => boolean): void {
  for (const { key, serial } of index.unsyncedObjects()) {
    if (handled(key)) continue;
    const { family, index: at, layer } = key;
    if (index.find(family, at, layer) === OBJECT && index.foundSerial === serial) index.remove(family, at, layer);
    else index.unmarkUnsynced(family, at, layer);
  }
}

/** Brings to disk what the earlier process wrote, and clears its marks. Throws DISK_FAILED. */
export async function syncInherited(disk: Disk, system: System): Promise<void> {
  const { index } = disk;
  const marks = index.unsyncedObjects();
  try {
    await system.syncFilesystem(disk.anchor.fd);
  } catch (error) {
    throw disk.fail(messageOf(error));
  }
  await index.commit(() => {
    for (const { key, serial } of marks) {
      const { family, index: at, layer } = key;
      // Not what a copy of this process, in its place, was marked with.
      if (index.find(family, at, layer) !== OBJECT || index.foundSerial !== serial) continue;
      const file = disk.descriptors.get(serial);
      if (file) file.unsynced = false;
      index.unmarkUnsynced(family, at, layer);
    }
  });
}
