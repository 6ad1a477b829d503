import { FIELD_MAX, SCAN_BATCH } from './constants.js';
import type { Disk } from './disk.js';
import type { IndexedObject } from './object-index.js';
import { pause } from './time.js';

/**
 * Entries of a family from index `from` (inclusive) to `to` (exclusive), in the order of the image, a batch at a time.
 * What changes behind the batch being looked at is not seen again; what changes before it is.
 */
export async function* walk(disk: Disk, family: number, from: number, to: number): AsyncGenerator<IndexedObject[]> {
  let index = from;
  let layer = 0;
  for (;;) {
    const batch = disk.index.scan(family, index, to, SCAN_BATCH, layer);
    if (batch.length > 0) yield batch;
    if (batch.length < SCAN_BATCH) return;
    const last = batch[batch.length - 1]!;
    index = last.layer === FIELD_MAX ? last.index + 1 : last.index;
    layer = last.layer === FIELD_MAX ? 0 : last.layer + 1;
    // Lets other work run.
    await pause(disk.system.time, 0);
  }
}

/** As `walk`, downwards from below `to`. */
export async function* walkReverse(disk: Disk, family: number, to: number): AsyncGenerator<IndexedObject[]> {
  let index = to;
  let layer = 0;
  for (;;) {
    const batch = disk.index.scanReverse(family, index, SCAN_BATCH, layer);
    if (batch.length > 0) yield batch;
    if (batch.length < SCAN_BATCH) return;
    ({ index, layer } = batch[batch.length - 1]!);
    // Lets other work run.
    await pause(disk.system.time, 0);
  }
}
