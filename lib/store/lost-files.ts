import { constants } from 'node:fs';
import { join } from 'node:path';
import type { Disk } from './disk.js';
import { HOLE, type Key, NO_END, OBJECT, parseFileName } from './entry.js';
import { clearBehind } from './file-content.js';

/** An object that was being written when the power went, and its end as far as that is noted. */
interface Unsettled extends Key {
  readonly end: number;
}

/**
 * After a power cut, before anything is read: brings active objects and their files to the same state.
 *
 * Finds those whose files it took, name and all, which only happens to what was never flushed, and makes holes of them. As
 * objects they would be errors for good once their activity records are retired. A hole and not nothing: one that was
 * flushed may be what the object had replaced.
 *
 * Takes away what a file has behind the end that is noted, where the note of a later one was lost: it would show, but not
 * in a copy, nor be counted as written.
 */
export async function settleFiles(disk: Disk): Promise<void> {
  const { index } = disk;
  const lost = new Map<number, Unsettled>();
  for (const key of index.activeObjects()) {
    if (index.find(key.family, key.index, key.layer) !== OBJECT) continue;
    lost.set(index.foundSerial, { ...key, end: index.foundEnd });
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
async function dropFound(disk: Disk, lost: Map<number, Unsettled>): Promise<void> {
  const objects = join(disk.directory, 'objects');
  for (const group of await disk.io.list(objects)) {
    if (!group.isDirectory()) continue;
    for (const { name } of await disk.io.list(join(objects, group.name))) {
      const serial = parseFileName(name)?.serial;
      const found = serial === undefined ? undefined : lost.get(serial);
      if (!found) continue;
      lost.delete(serial!);
      if (found.end !== NO_END) await clearFile(disk, join(objects, group.name, name), found.end);
    }
    if (lost.size === 0) return;
  }
}

async function clearFile(disk: Disk, path: string, end: number): Promise<void> {
  const fd = await disk.io.open(path, constants.O_RDWR);
  try {
    if (await clearBehind(disk, fd, end)) await disk.io.syncData(fd);
  } finally {
    await disk.io.close(fd);
  }
}
