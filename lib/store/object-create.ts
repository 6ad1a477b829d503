import { BLOCK_BYTES, OBJECT_BYTES } from './constants.js';
import type { Disk, LayerView } from './disk.js';
import { HOLE, NO_END, OBJECT } from './entry.js';
import { copyContent, fillObject } from './file-content.js';
import type { ActiveObject } from './layer-state.js';
import { measure } from './measure.js';
import type { OpenFile } from './open-file.js';
import { StoreError } from './store-error.js';
import type { WriteOrder } from './write-order.js';

/** An index of an image, and the placement group that it is in. */
export interface Place {
  pg: number;
  family: number;
  index: number;
}

/**
 * Makes the object in the view's top layer, with what shows there from below, and then `write`. The index has it when
 * all of that is in the file. With `fill` it gets all its blocks, and reaches to `fill.end` at least.
 */
export async function createObject(
  disk: Disk,
  place: Place,
  layers: readonly LayerView[],
  write: { offset: number; source: Buffer } | null,
  fill: { end: number } | null,
  epoch: number,
  order: WriteOrder,
): Promise<void> {
  const { low, release } = await reserve(disk);
  try {
    await disk.flusher.room();
    await disk.activity.room(disk.layer(place.family, layers[0]!.layer));
    const below = await acquireBelow(disk, place, layers);
    try {
      const file = await newFile(disk, place, layers[0]!.layer, below, write);
      try {
        if (write) await disk.io.write(file.fd, write.source, 0, write.source.length, write.offset);
        let end = NO_END;
        if (fill || low) {
          const reached = Math.max((await disk.io.stat(file.fd)).size, fill?.end ?? 0);
          if (reached < OBJECT_BYTES) end = reached;
          await fillObject(disk, file);
        }
        // Some file systems find blocks for what was written only later.
        const blocks = Math.max(
          measure(disk.io.files, file.fd) ?? 0,
          Math.ceil((write?.source.length ?? 0) / BLOCK_BYTES),
        );
        await commitObject(disk, file, { end, blocks }, below !== null, epoch, order);
        disk.files.release(file);
      } catch (error) {
        abandon(disk, file);
        throw error;
      }
    } finally {
      if (below) disk.files.release(below.file);
    }
  } finally {
    release();
  }
}

/** A file, held, with what shows from below, unless `write` covers that. */
async function newFile(
  disk: Disk,
  place: Place,
  layer: number,
  below: Below | null,
  write: { offset: number; source: Buffer } | null,
): Promise<OpenFile> {
  const covered = write?.offset === 0 && write.source.length >= (below?.length ?? 0);
  const copied = below && !covered;
  const clone = copied && disk.clones ? await cloneFile(disk, place, layer, below.file, below.length) : null;
  if (clone) return clone;
  const file = await disk.files.create(place.pg, place.family, place.index, layer);
  try {
    if (copied) {
      await copyContent({ disk, file: below.file }, { disk, file }, below.length);
      // As long as a clone would be, on a disk that can make one: the copies have the same end.
      await disk.io.truncate(file.fd, below.length);
    }
  } catch (error) {
    abandon(disk, file);
    throw error;
  }
  return file;
}

/** A file of the layer, held, that shares the first `length` bytes of another; null where the file system cannot. */
export async function cloneFile(
  disk: Disk,
  place: Place,
  layer: number,
  source: OpenFile,
  length: number,
): Promise<OpenFile | null> {
  const file = await disk.files.create(place.pg, place.family, place.index, layer);
  try {
    if (await disk.io.clone(source.path, file.path)) {
      await disk.io.truncate(file.fd, length);
      return file;
    }
  } catch (error) {
    abandon(disk, file);
    throw error;
  }
  // The refused clone has unlinked the file.
  disk.clones = false;
  abandon(disk, file);
  return null;
}

/** Lets go of a held file that the index does not have, and removes it. */
export function abandon(disk: Disk, file: OpenFile): void {
  disk.files.release(file);
  disk.files.dispose(file.pg, file.family, file.index, file.serial);
}

/**
 * Puts a new file, held, into the index, active. `copied`: it was made of what it hides, or came from elsewhere, and a
 * power cut is to bring back what is below.
 */
export async function commitObject(
  disk: Disk,
  file: OpenFile,
  { end, blocks }: { end: number; blocks: number },
  copied: boolean,
  epoch: number,
  order: WriteOrder,
): Promise<void> {
  const { index } = file;
  const { family, layer } = file.layer;
  let active: ActiveObject | null = null;
  file.unsynced = copied;
  await disk.index.commit(() => {
    disk.index.put(family, index, layer, { kind: OBJECT, serial: file.serial, modified: epoch, end }, blocks);
    active = disk.activity.record(file.layer, index, epoch, order);
    // A copy that a power cut tears must not hide what it was made from.
    if (copied) disk.index.markUnsynced(family, index, layer, file.serial);
  });
  if (disk.durableActivity) await disk.index.durable();
  file.active = active;
  disk.flusher.mark(file);
  disk.activity.drop(file.layer, active!);
}

interface Below {
  file: OpenFile;
  /** Bytes that show of it. */
  length: number;
}

/** What shows at the index from below the top layer, its file held; null where that is nothing but zeros. */
export async function acquireBelow(disk: Disk, place: Place, layers: readonly LayerView[]): Promise<Below | null> {
  const { pg, family, index } = place;
  if (disk.index.find(family, index, layers[0]!.layer) === HOLE) return null;
  if (!disk.resolve(family, layers, index, 1)) return null;
  const { layer, serial, visible } = disk.resolved;
  const file = await disk.files.acquire(pg, family, index, layer, serial);
  if (!file) throw new Error('an index changed under its lock');
  try {
    const length = await objectEnd(disk, file);
    if (length > 0) return { file, length: Math.min(length, visible) };
  } catch (error) {
    disk.files.release(file);
    throw error;
  }
  disk.files.release(file);
  return null;
}

/**
 * Keeps the space of one object back for the caller, until `release`; `low` says that the object is to be given all its
 * blocks. Where there is nothing left but the reserve, throws ENOSPC, unless the caller may have that: where others have
 * copies, the writer is who refuses, and what it has sent before it knew is done by all.
 */
export async function reserve(disk: Disk, mayUseAll = disk.replicated): Promise<{ low: boolean; release: () => void }> {
  await disk.space.current();
  // Others that waited for the same look may have been promised what it had found.
  const { state } = disk.space;
  if (state === 'full' && !mayUseAll) {
    throw new StoreError('ENOSPC', `${disk.directory} is full: add a disk, or delete images or snapshots`);
  }
  return { low: state === 'low', release: disk.space.promise(OBJECT_BYTES) };
}

/** How far an object was written (bytes), which its file's length does not tell where that was filled up. */
export async function objectEnd(disk: Disk, file: OpenFile): Promise<number> {
  disk.index.find(file.layer.family, file.index, file.layer.layer);
  const { foundEnd } = disk.index;
  return foundEnd === NO_END ? (await disk.io.stat(file.fd)).size : foundEnd;
}
