import { OBJECT_BYTES } from './constants.js';
import type { Disk, LayerView } from './disk.js';
import { HOLE, NO_END, NOTHING, OBJECT } from './entry.js';
import { isWhole } from './file-content.js';
import { acquireBelow, createObject, objectEnd, type Place } from './object-create.js';
import { acquireTop, activate } from './object-write.js';
import type { OpenFile } from './open-file.js';
import { NO_ORDER, type WriteOrder } from './write-order.js';
import { ZEROS } from './zeros.js';

/**
 * Makes the range read as zeros, and gives its space back where the file system can. The caller holds the index alone.
 * Throws ENOSPC (only where a lower layer's data has to be copied), EIO, DISK_FAILED.
 */
export async function discardObject(
  disk: Disk,
  place: Place,
  layers: readonly LayerView[],
  offset: number,
  length: number,
  epoch: number,
  order: WriteOrder = NO_ORDER,
): Promise<void> {
  if (disk.io.failure) throw disk.io.failure;
  if (length === 0) return;
  const { family, index } = place;
  const top = layers[0]!.layer;
  const kind = disk.index.find(family, index, top);
  if (kind === HOLE) return;
  if (kind === OBJECT) {
    await discardOwn(disk, place, layers, offset, length, epoch, order);
    return;
  }
  const below = await acquireBelow(disk, place, layers);
  if (!below) return;
  disk.files.release(below.file);
  if (offset >= below.length) return;
  if (offset === 0 && length >= below.length) {
    await replaceByHole(disk, place, top, epoch, order);
    return;
  }
  await createObject(disk, place, layers, null, null, epoch, order);
  await discardOwn(disk, place, layers, offset, length, epoch, order);
}

async function discardOwn(
  disk: Disk,
  place: Place,
  layers: readonly LayerView[],
  offset: number,
  length: number,
  epoch: number,
  order: WriteOrder,
): Promise<void> {
  const file = await acquireTop(disk, place, layers);
  if (!file) throw new Error('an index changed under its lock');
  try {
    // Not the file's length: where a disk filled the file up, other copies would come to delete what this one punches.
    const size = await objectEnd(disk, file);
    if (offset >= size && !(offset === 0 && size === 0)) return;
    if (offset === 0 && length >= size) {
      const { layer } = file.layer;
      if (mayShowBelow(layers, place.index)) await replaceByHole(disk, place, layer, epoch, order);
      else await discardEntry(disk, place, layer, epoch, order);
      return;
    }
    const active = await activate(disk, file, epoch, order);
    try {
      await punch(disk, file, offset, Math.min(length, size - offset));
    } finally {
      disk.activity.drop(file.layer, active);
      disk.flusher.mark(file);
    }
  } finally {
    disk.files.release(file);
  }
}

/**
 * Whether a layer below could have something here. What it has is not looked at: some copies may have merged it into this
 * one already, and others not, and they are to come to the same.
 */
function mayShowBelow(layers: readonly LayerView[], index: number): boolean {
  return layers.length > 1 && index * OBJECT_BYTES < layers[0]!.limit;
}

async function punch(disk: Disk, file: OpenFile, offset: number, length: number): Promise<void> {
  if (await disk.io.punch(file.fd, offset, length)) {
    file.whole = false;
    return;
  }
  // Zeros cost the blocks that they were to give back: a file that has none there gets some.
  if (!(await isWhole(disk, file))) disk.space.charge(length);
  for (let done = 0; done < length; ) {
    const part = Math.min(ZEROS.length, length - done);
    await disk.io.write(file.fd, ZEROS, 0, part, offset + done);
    done += part;
  }
}

/** Puts a marker that hides what lies below in place of what the layer has at the index, if anything. */
async function replaceByHole(disk: Disk, place: Place, layer: number, epoch: number, order: WriteOrder): Promise<void> {
  const { pg, family, index } = place;
  await disk.trash.room();
  const state = disk.layer(family, layer);
  await disk.activity.room(state);
  const kind = disk.index.find(family, index, layer);
  const serial = disk.index.foundSerial;
  await disk.index.commit(() => {
    disk.index.put(family, index, layer, { kind: HOLE, serial: 0, modified: epoch, end: NO_END });
    disk.index.unmarkUnsynced(family, index, layer);
    disk.activity.drop(state, disk.activity.record(state, index, epoch, order));
  });
  if (disk.durableActivity) await disk.index.durable();
  if (kind === OBJECT) disk.files.dispose(pg, family, index, serial);
}

/**
 * Deletes what the layer has at the index, as a write of its owner does. Where there are other copies, which may not come
 * to do so, the object is active from then on although the index has nothing there.
 */
export async function discardEntry(
  disk: Disk,
  place: Place,
  layer: number,
  epoch: number,
  order: WriteOrder = NO_ORDER,
): Promise<void> {
  if (!disk.replicated) {
    await removeEntry(disk, place, layer);
    return;
  }
  if (disk.io.failure) throw disk.io.failure;
  const { pg, family, index } = place;
  await disk.trash.room();
  const kind = disk.index.find(family, index, layer);
  if (kind === NOTHING) return;
  const serial = disk.index.foundSerial;
  const state = disk.layer(family, layer);
  await disk.index.commit(() => {
    disk.index.remove(family, index, layer, true);
    disk.activity.drop(state, disk.activity.record(state, index, epoch, order));
  });
  if (disk.durableActivity) await disk.index.durable();
  if (kind === OBJECT) disk.files.dispose(pg, family, index, serial);
}

/**
 * Deletes what the layer has at the index. The caller holds the index alone. Answers whether there was anything.
 */
export async function removeEntry(disk: Disk, place: Place, layer: number): Promise<boolean> {
  if (disk.io.failure) throw disk.io.failure;
  const { pg, family, index } = place;
  await disk.trash.room();
  const kind = disk.index.find(family, index, layer);
  if (kind === NOTHING) return false;
  const serial = disk.index.foundSerial;
  await disk.index.commit(() => {
    disk.index.remove(family, index, layer);
    disk.activity.forget(disk.layer(family, layer), index);
  });
  if (kind === OBJECT) disk.files.dispose(pg, family, index, serial);
  return true;
}

/** Cuts the layer's object to `length` bytes where it is longer. The caller holds the index alone. */
export async function cutObject(
  disk: Disk,
  place: Place,
  layers: readonly LayerView[],
  length: number,
  epoch: number,
  order: WriteOrder = NO_ORDER,
): Promise<void> {
  if (disk.io.failure) throw disk.io.failure;
  const file = await acquireTop(disk, place, layers);
  if (!file) return;
  try {
    const { size } = await disk.io.stat(file.fd);
    if (size <= length) return;
    const active = await activate(disk, file, epoch, order);
    try {
      await disk.io.truncate(file.fd, length);
      await lowerEnd(disk, file, length);
    } finally {
      file.whole = false;
      disk.activity.drop(file.layer, active);
      disk.flusher.mark(file);
    }
  } finally {
    disk.files.release(file);
  }
}

/** Sets the end that is kept for a file which had been filled up. */
async function lowerEnd(disk: Disk, file: OpenFile, end: number): Promise<void> {
  const { family, layer } = file.layer;
  disk.index.find(family, file.index, layer);
  const { foundSerial: serial, foundModified: modified, foundEnd } = disk.index;
  if (foundEnd <= end) return;
  await disk.index.commit(() => disk.index.put(family, file.index, layer, { kind: OBJECT, serial, modified, end }));
}
