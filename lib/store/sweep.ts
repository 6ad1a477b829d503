import { join } from 'node:path';
import type { Disk } from './disk.js';
import { OBJECT, parseFileName } from './entry.js';
import { blocksIn } from './measure.js';
import type { IndexedObject } from './object-index.js';
import { codeOf } from './store-error.js';

/**
 * Unlinks the files of earlier processes that the index does not have: those of an object that was never committed, or
 * that was given up and not unlinked in time. Files of this process are left alone, and so are names of no object.
 *
 * What an earlier process wrote last it may not have measured: that is done here, best when all is on disk, since a
 * file system may need a block more when it comes to place what was written.
 */
export async function sweep(disk: Disk, signal: AbortSignal): Promise<void> {
  const objects = join(disk.directory, 'objects');
  for (const group of await disk.io.list(objects)) {
    if (!group.isDirectory()) continue;
    try {
      for (const entry of await disk.io.list(join(objects, group.name))) {
        if (signal.aborted || disk.failed) return;
        const file = parseFileName(entry.name);
        if (!file || file.serial >= disk.serials.start) continue;
        const known = disk.index
          .scan(file.family, file.index, file.index + 1, Number.MAX_SAFE_INTEGER)
          .find((object) => object.kind === OBJECT && object.serial === file.serial);
        const path = join(objects, group.name, entry.name);
        if (!known && disk.replaced.keeps(file, file.serial)) continue;
        if (!known) await disk.io.unlink(path);
        else if (disk.index.isActive(known.family, known.index, known.layer)) await measureAgain(disk, known, path);
      }
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
    }
  }
}

async function measureAgain(disk: Disk, { family, layer, serial }: IndexedObject, path: string): Promise<void> {
  const stats = await disk.io.statOf(path);
  const file = disk.descriptors.get(serial);
  // One that was opened meanwhile knows better to which layer it belongs.
  if (file) disk.flusher.measureFile(file);
  else disk.index.usage.note(family, layer, serial, blocksIn(stats));
}
