import { join } from 'node:path';
import type { Disk } from './disk.js';
import { HOLE, type Key, NO_END, OBJECT, parseFileName } from './entry.js';
import type { DirectoryEntry } from './files.js';

/**
 * After a power cut, before anything is read: finds the objects whose files it took, name and all, which only happens to
 * what was never flushed, and makes holes of them. As objects they would be errors for good once their activity records
 * are retired. A hole and not nothing: one that was flushed may be what the object had replaced.
 */
export async function replaceLost(disk: Disk): Promise<void> {
  const { index } = disk;
  const lost = new Map<number, Key>();
  for (const key of index.activeObjects()) {
    if (index.find(key.family, key.index, key.layer) === OBJECT) lost.set(index.foundSerial, key);
  }
  if (lost.size > 0) await dropFound(disk, lost);
  if (lost.size === 0) return;
  await index.commit(() => {
    for (const key of lost.values()) {
      index.find(key.family, key.index, key.layer);
      const modified = index.foundModified;
      index.put(key.family, key.index, key.layer, { kind: HOLE, serial: 0, modified, end: NO_END });
    }
  });
}

/** Takes those out of `lost` that have a file. */
async function dropFound(disk: Disk, lost: Map<number, Key>): Promise<void> {
  const objects = join(disk.directory, 'objects');
  for (const group of await list(disk, objects)) {
    if (!group.isDirectory()) continue;
    for (const { name } of await list(disk, join(objects, group.name))) {
      const file = parseFileName(name);
      if (file) lost.delete(file.serial);
    }
    if (lost.size === 0) return;
  }
}

function list(disk: Disk, path: string): Promise<DirectoryEntry[]> {
  return disk.io.call((done) => disk.io.files.readdir(path, { withFileTypes: true }, done));
}
