import { opendir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Disk } from './disk.js';
import { OBJECT, parseFileName } from './entry.js';
import { codeOf } from './store-error.js';

/**
 * Unlinks the files of earlier processes that the index does not have: those of an object that was never committed, or
 * that was given up and not unlinked in time. Files of this process are left alone, and so are names of no object.
 */
export async function sweep(disk: Disk, signal: AbortSignal): Promise<void> {
  const objects = join(disk.directory, 'objects');
  for await (const group of await opendir(objects)) {
    if (!group.isDirectory()) continue;
    try {
      for await (const entry of await opendir(join(objects, group.name))) {
        if (signal.aborted || disk.failed) return;
        const file = parseFileName(entry.name);
        if (!file || file.serial >= disk.serials.start) continue;
        const known = disk.index
          .scan(file.family, file.index, file.index + 1, Number.MAX_SAFE_INTEGER)
          .some((object) => object.kind === OBJECT && object.serial === file.serial);
        if (!known) await disk.io.unlink(join(objects, group.name, entry.name));
      }
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
    }
  }
}
