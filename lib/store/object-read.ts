import { OBJECT_BYTES } from './constants.js';
import type { Disk, LayerView } from './disk.js';
import { NO_END, OBJECT } from './entry.js';
import { seekContent } from './file-content.js';
import type { Place } from './object-create.js';
import type { OpenFile } from './open-file.js';
import { walk, walkReverse } from './walk.js';

const DONE = Promise.resolve();
const HANDS_CHANGED_MAX = 100;

/**
 * Fills `target` with what the index shows from `offset` on. Needs no lock: what shows is looked up at the call, and
 * the file is held even if it is replaced meanwhile. Rejects with EIO, DISK_FAILED.
 */
export function readObject(
  disk: Disk,
  pg: number,
  family: number,
  index: number,
  layers: readonly LayerView[],
  offset: number,
  target: Buffer,
): Promise<void> {
  if (disk.io.failure) return Promise.reject(disk.io.failure);
  if (!disk.resolve(family, layers, index, 0) || disk.resolved.visible <= offset) {
    target.fill(0);
    return DONE;
  }
  const file = disk.descriptors.get(disk.resolved.serial);
  if (file === undefined) return openAndRead(disk, { pg, family, index }, layers, offset, target);
  file.users++;
  return readFile(disk, file, offset, target, disk.resolved.visible);
}

/** Reads a held file and releases it. */
function readFile(disk: Disk, file: OpenFile, offset: number, target: Buffer, visible: number): Promise<void> {
  const length = Math.min(target.length, visible - offset);
  return new Promise((resolve, reject) => {
    disk.io.readThen(
      file.fd,
      target,
      length,
      offset,
      (filled) => {
        disk.files.release(file);
        if (filled < target.length) target.fill(0, filled);
        resolve();
      },
      (error) => {
        disk.files.release(file);
        reject(error);
      },
    );
  });
}

async function openAndRead(
  disk: Disk,
  place: Place,
  layers: readonly LayerView[],
  offset: number,
  target: Buffer,
): Promise<void> {
  const shown = await acquireShown(disk, place, layers);
  if (shown && shown.visible > offset) return readFile(disk, shown.file, offset, target, shown.visible);
  if (shown) disk.files.release(shown.file);
  target.fill(0);
}

/** The file that shows at the index, held, and how much of it; null for zeros. */
async function acquireShown(
  disk: Disk,
  place: Place,
  layers: readonly LayerView[],
): Promise<{ file: OpenFile; visible: number } | null> {
  const { pg, family, index } = place;
  for (let tries = 0; tries < HANDS_CHANGED_MAX; tries++) {
    if (!disk.resolve(family, layers, index, 0)) return null;
    const { layer, serial, visible } = disk.resolved;
    const file = await disk.files.acquire(pg, family, index, layer, serial);
    // Null: replaced before it could be opened. What is there now is what the caller may see.
    if (file) return { file, visible };
  }
  throw new Error(`index ${family}/${index} changes faster than it can be opened`);
}

/**
 * The first byte of the object at or after `offset` that is data or, with `data` false, that is in a hole; null when
 * there is none. Blocks of zeros may count as holes.
 */
export async function seekObject(
  disk: Disk,
  place: Place,
  layers: readonly LayerView[],
  offset: number,
  data: boolean,
): Promise<number | null> {
  if (disk.io.failure) throw disk.io.failure;
  const shown = await acquireShown(disk, place, layers);
  if (!shown) return data ? null : offset;
  try {
    return await seekContent(disk, shown.file, shown.visible, offset, data);
  } finally {
    disk.files.release(shown.file);
  }
}

/** The highest byte that the layer holds below `bound` (bytes of the image), 0 for none. */
export async function layerEnd(
  disk: Disk,
  pgOf: (index: number) => number,
  family: number,
  layer: number,
  { bound, isAsked = () => true }: { bound: number; isAsked?: (index: number) => boolean },
): Promise<number> {
  if (disk.io.failure) throw disk.io.failure;
  if (disk.index.count(family, layer) === 0) return 0;
  for await (const batch of walkReverse(disk, family, Math.ceil(bound / OBJECT_BYTES))) {
    for (const object of batch) {
      if (object.layer !== layer || object.kind !== OBJECT || !isAsked(object.index)) continue;
      const { index, serial } = object;
      if (object.end !== NO_END) {
        if (object.end === 0) continue;
        return Math.min(bound, index * OBJECT_BYTES + object.end);
      }
      const file = await disk.files.acquire(pgOf(index), family, index, layer, serial);
      // Null: it changed while it was looked for, which an answer about a layer in use may leave out.
      if (!file) continue;
      try {
        const { size } = await disk.io.stat(file.fd);
        if (size > 0) return Math.min(bound, index * OBJECT_BYTES + size);
      } finally {
        disk.files.release(file);
      }
    }
  }
  return 0;
}

export interface IndexRange {
  /** Inclusive. */
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
  /** So many, at most. */
  readonly count: number;
  /** Others are left out. */
  readonly isAsked?: (index: number) => boolean;
}

/** The lowest indexes of a range where one of the layers has an entry, in order. */
export async function nextIndexes(
  disk: Disk,
  family: number,
  layers: ReadonlySet<number>,
  { from, to, count, isAsked = () => true }: IndexRange,
): Promise<number[]> {
  if (disk.io.failure) throw disk.io.failure;
  const found: number[] = [];
  for await (const batch of walk(disk, family, from, to)) {
    for (const { index, layer } of batch) {
      if (!layers.has(layer) || index === found[found.length - 1] || !isAsked(index)) continue;
      if (found.push(index) === count) return found;
    }
  }
  return found;
}
