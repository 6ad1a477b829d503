import type { Disk, LayerView } from './disk.js';
import { HOLE } from './entry.js';
import { isWhole } from './file-content.js';
import type { Place } from './object-create.js';
import { acquireTop } from './object-write.js';

/** What is done to an index that may need blocks. */
export type RoomUse = 'write' | 'discard';

/**
 * Whether a write to the index, or a discard of a part of it, may need blocks that the disk has not given to it. The
 * caller holds the index alone. Rejects with EIO, DISK_FAILED.
 */
export async function needsRoom(
  disk: Disk,
  place: Place,
  layers: readonly LayerView[],
  use: RoomUse,
): Promise<boolean> {
  if (disk.io.failure) throw disk.io.failure;
  const file = await acquireTop(disk, place, layers);
  if (file) {
    try {
      return use === 'write' && !(await isWhole(disk, file));
    } finally {
      disk.files.release(file);
    }
  }
  if (use === 'write') return true;
  // It is copied from below first, where there is anything.
  const { family, index } = place;
  return disk.index.find(family, index, layers[0]!.layer) !== HOLE && disk.resolve(family, layers, index, 1);
}
