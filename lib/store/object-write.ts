import { noteOrder } from './activity-log.js';
import { OBJECT_BYTES } from './constants.js';
import type { Disk, LayerView } from './disk.js';
import { NO_END, OBJECT } from './entry.js';
import { fillObject, isWhole } from './file-content.js';
import type { ActiveObject } from './layer-state.js';
import { createObject, type Place, reserve } from './object-create.js';
import type { OpenFile } from './open-file.js';
import { NO_ORDER, type WriteOrder } from './write-order.js';

/** What is let go when an operation ends. */
export interface Releasable {
  release(): void;
}

/**
 * Writes where nothing but the file changes: the layer has the object, it is open and active, and space is no question.
 * Null where that is not so; nothing has been done then. Releases `lock` when the write ends, well or not.
 */
export function tryWrite(
  disk: Disk,
  family: number,
  index: number,
  layer: number,
  offset: number,
  source: Buffer,
  lock: Releasable,
  order: WriteOrder = NO_ORDER,
): Promise<void> | null {
  const file = findWritable(disk, family, index, layer, offset, source.length);
  if (!file) return null;
  noteOrder(file.active!, order);
  return writeFile(disk, file, file.active!, offset, source, lock);
}

/**
 * The layer's object where a write changes nothing but the file: see `tryWrite`. Space has been counted for it, so the
 * write is to be begun, by `writeThen`, before anything else happens.
 */
export function findWritable(
  disk: Disk,
  family: number,
  index: number,
  layer: number,
  offset: number,
  length: number,
): OpenFile | null {
  if (disk.index.find(family, index, layer) !== OBJECT) return null;
  const file = disk.descriptors.get(disk.index.foundSerial);
  if (file === undefined) return null;
  const active = file.active;
  if (active === null || active.retired) return null;
  if (disk.index.foundEnd !== NO_END && offset + length > disk.index.foundEnd) return null;
  if (!file.dirty && disk.flusher.full) return null;
  if (!file.whole) {
    if (disk.space.state !== 'ok') return null;
    disk.space.charge(length);
  }
  return file;
}

/** Writes to what `findWritable` has found; `ended` is called with the error, or null. The caller holds the index. */
export function writeThen(
  disk: Disk,
  file: OpenFile,
  offset: number,
  source: Buffer,
  order: WriteOrder,
  ended: (error: unknown) => void,
): void {
  noteOrder(file.active!, order);
  beginWrite(disk, file, file.active!, offset, source, ended);
}

function beginWrite(
  disk: Disk,
  file: OpenFile,
  active: ActiveObject,
  offset: number,
  source: Buffer,
  ended: (error: unknown) => void,
): void {
  file.users++;
  active.outstanding++;
  active.touched = file.layer.flushesBegun;
  const end = (error: unknown) => {
    disk.activity.drop(file.layer, active);
    disk.flusher.mark(file);
    disk.files.release(file);
    ended(error);
  };
  disk.io.writeThen(file.fd, source, 0, source.length, offset, () => end(null), end);
}

function writeFile(
  disk: Disk,
  file: OpenFile,
  active: ActiveObject,
  offset: number,
  source: Buffer,
  lock: Releasable | null,
): Promise<void> {
  return new Promise((resolve, reject) => {
    beginWrite(disk, file, active, offset, source, (error) => {
      lock?.release();
      if (error === null) resolve();
      else reject(error);
    });
  });
}

/**
 * Writes, whatever it takes: opens the file, records the object as active, or makes it, with what shows from below. The
 * caller holds the index alone. Throws ENOSPC before anything is changed that a reader could see, EIO, DISK_FAILED.
 */
export async function writeObject(
  disk: Disk,
  place: Place,
  layers: readonly LayerView[],
  offset: number,
  source: Buffer,
  epoch: number,
  order: WriteOrder = NO_ORDER,
): Promise<void> {
  if (disk.io.failure) throw disk.io.failure;
  const file = await acquireTop(disk, place, layers);
  if (!file) {
    await createObject(disk, place, layers, { offset, source }, null, epoch, order);
    return;
  }
  try {
    await prepareSpace(disk, file);
    await disk.flusher.room();
    const active = await activate(disk, file, epoch, order);
    try {
      await writeFile(disk, file, active, offset, source, null);
      await raiseEnd(disk, file, offset + source.length);
    } finally {
      disk.activity.drop(file.layer, active);
    }
  } finally {
    disk.files.release(file);
  }
}

/**
 * Gives the object all its blocks, so that writes to it cannot fail for want of space, and notes that it reaches to
 * `end` at least. As `writeObject`.
 */
export async function allocateObject(
  disk: Disk,
  place: Place,
  layers: readonly LayerView[],
  end: number,
  epoch: number,
  order: WriteOrder = NO_ORDER,
): Promise<void> {
  if (disk.io.failure) throw disk.io.failure;
  const file = await acquireTop(disk, place, layers);
  if (!file) {
    await createObject(disk, place, layers, null, { end }, epoch, order);
    return;
  }
  try {
    const whole = await isWhole(disk, file);
    if (whole && !endsBefore(disk, file, end)) return;
    const active = await activate(disk, file, epoch, order);
    try {
      if (!whole) {
        const { release } = await reserve(disk);
        try {
          await fillUp(disk, file);
        } finally {
          release();
          disk.flusher.mark(file);
        }
      }
      await raiseEnd(disk, file, end);
    } finally {
      disk.activity.drop(file.layer, active);
    }
  } finally {
    disk.files.release(file);
  }
}

/** Has the layer's object reach to `end` at least, with zeros behind what it has. The caller holds the index alone. */
export async function extendObject(
  disk: Disk,
  place: Place,
  layers: readonly LayerView[],
  end: number,
  epoch: number,
  order: WriteOrder = NO_ORDER,
): Promise<void> {
  if (disk.io.failure) throw disk.io.failure;
  const file = await acquireTop(disk, place, layers);
  if (!file) return;
  try {
    const { size } = await disk.io.stat(file.fd);
    if (size >= end && !endsBefore(disk, file, end)) return;
    const active = await activate(disk, file, epoch, order);
    try {
      if (size < end) await disk.io.truncate(file.fd, end);
      await raiseEnd(disk, file, end);
    } finally {
      disk.activity.drop(file.layer, active);
      disk.flusher.mark(file);
    }
  } finally {
    disk.files.release(file);
  }
}

/** The open file of the view's top layer, held, or null where it has no object at the index. */
export async function acquireTop(disk: Disk, place: Place, layers: readonly LayerView[]): Promise<OpenFile | null> {
  const top = layers[0]!.layer;
  if (disk.index.find(place.family, place.index, top) !== OBJECT) return null;
  const file = await disk.files.acquire(place.pg, place.family, place.index, top, disk.index.foundSerial);
  if (!file) throw new Error('an index changed under its lock');
  if (file.layer.layer !== top) {
    // Opened by a reader that had looked before a merge gave the file to this layer.
    file.active = null;
    disk.flusher.move(file, disk.layer(place.family, top));
  }
  return file;
}

/** Makes sure that the object is recorded as active, before its first write. The record is held: to be dropped. */
export async function activate(disk: Disk, file: OpenFile, epoch: number, order: WriteOrder): Promise<ActiveObject> {
  const { layer, index } = file;
  const held = disk.activity.hold(layer, index, order);
  if (held) {
    file.active = held;
    return held;
  }
  await disk.activity.room(layer);
  disk.index.find(layer.family, index, layer.layer);
  const { foundModified: modified, foundEnd: end } = disk.index;
  const { serial } = file;
  let active: ActiveObject | null = null;
  await disk.index.commit(() => {
    active = disk.activity.record(layer, index, epoch, order);
    if (modified !== epoch) {
      disk.index.put(layer.family, index, layer.layer, { kind: OBJECT, serial, modified: epoch, end });
      if (modified < epoch) disk.index.removeRaised(layer.family, index, layer.layer);
    }
  });
  if (disk.durableActivity) await disk.index.durable();
  file.active = active;
  return active!;
}

/** Fills the file up, after its end was noted where its length will not tell it any more. */
async function fillUp(disk: Disk, file: OpenFile): Promise<void> {
  const { family, layer } = file.layer;
  disk.index.find(family, file.index, layer);
  const { foundSerial: serial, foundModified: modified, foundEnd } = disk.index;
  const { size } = await disk.io.stat(file.fd);
  if (foundEnd === NO_END && size < OBJECT_BYTES) {
    await disk.index.commit(() =>
      disk.index.put(family, file.index, layer, { kind: OBJECT, serial, modified, end: size }),
    );
  }
  await fillObject(disk, file);
}

/** Notes that a file whose length does not tell it was written up to `end`. */
async function raiseEnd(disk: Disk, file: OpenFile, end: number): Promise<void> {
  if (!endsBefore(disk, file, end)) return;
  const { family, layer } = file.layer;
  const { foundSerial: serial, foundModified: modified } = disk.index;
  const noted = end < OBJECT_BYTES ? end : NO_END;
  await disk.index.commit(() =>
    disk.index.put(family, file.index, layer, { kind: OBJECT, serial, modified, end: noted }),
  );
}

/** Whether the object's end is noted, and lies before `end`. Leaves in the index what `find` finds. */
function endsBefore(disk: Disk, file: OpenFile, end: number): boolean {
  disk.index.find(file.layer.family, file.index, file.layer.layer);
  const { foundEnd } = disk.index;
  return foundEnd !== NO_END && foundEnd < end;
}

/** What a write to a file that may lack blocks needs where space runs short. Throws ENOSPC. */
async function prepareSpace(disk: Disk, file: OpenFile): Promise<void> {
  if (disk.space.state === 'ok' || (await isWhole(disk, file))) return;
  const { low, release } = await reserve(disk);
  try {
    if (low) await fillUp(disk, file);
  } finally {
    release();
    disk.flusher.mark(file);
  }
}
