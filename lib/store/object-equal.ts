import { BLOCK_BYTES, OBJECT_BYTES } from './constants.js';
import type { Disk } from './disk.js';
import { NO_END, NOTHING, OBJECT } from './entry.js';
import { fillObject } from './file-content.js';
import { measure } from './measure.js';
import { abandon, commitObject, type Place, reserve } from './object-create.js';
import { cutObject } from './object-discard.js';
import { extendObject, writeObject } from './object-write.js';
import { NO_ORDER, type WriteOrder } from './write-order.js';

/** What makes an object what it is on another disk: where these blocks are not it has the same, or zeros. */
export interface EqualContent {
  /** Bytes that it reaches to. */
  readonly end: number;
  readonly blocks: readonly { readonly offset: number; readonly data: Buffer }[];
}

/**
 * Makes the layer's object at the index what it is on another disk. Where there is none it has everything before the index
 * has it: it hides what shows from below. The caller holds the index alone. Throws EIO, DISK_FAILED.
 */
export async function equalObject(
  disk: Disk,
  place: Place,
  layer: number,
  content: EqualContent,
  epoch: number,
  order: WriteOrder = NO_ORDER,
): Promise<void> {
  if (disk.io.failure) throw disk.io.failure;
  if (disk.index.find(place.family, place.index, layer) !== OBJECT) {
    await createEqual(disk, place, layer, content, epoch, order);
    return;
  }
  const alone = [{ layer, limit: 0 }];
  // Active, and as new as the others', also where nothing of it differs.
  if (content.blocks.length === 0) await writeObject(disk, place, alone, 0, Buffer.alloc(0), epoch, order);
  for (const { offset, data } of content.blocks) await writeObject(disk, place, alone, offset, data, epoch, order);
  await cutObject(disk, place, alone, content.end, epoch, order);
  await extendObject(disk, place, alone, content.end, epoch, order);
}

async function createEqual(
  disk: Disk,
  place: Place,
  layer: number,
  { end, blocks }: EqualContent,
  epoch: number,
  order: WriteOrder,
): Promise<void> {
  const { pg, family, index } = place;
  const { low, release } = await reserve(disk);
  try {
    await disk.flusher.room();
    await disk.activity.room(disk.layer(family, layer));
    // A hole hides as much already.
    const hides = disk.index.find(family, index, layer) === NOTHING;
    const file = await disk.files.create(pg, family, index, layer);
    try {
      let bytes = 0;
      for (const { offset, data } of blocks) {
        await disk.io.write(file.fd, data, 0, data.length, offset);
        bytes += data.length;
      }
      await disk.io.truncate(file.fd, end);
      if (low) await fillObject(disk, file);
      const noted = low && end < OBJECT_BYTES ? end : NO_END;
      const taken = Math.max(measure(disk.io.files, file.fd) ?? 0, Math.ceil(bytes / BLOCK_BYTES));
      await commitObject(disk, file, { end: noted, blocks: taken }, hides, epoch, order);
      disk.files.release(file);
    } catch (error) {
      abandon(disk, file);
      throw error;
    }
  } finally {
    release();
  }
}
