import { hashBlocks } from './block-hashes.js';
import type { Disk } from './disk.js';
import { type EntryKind, NO_END, NOTHING, OBJECT } from './entry.js';
import { isWhole } from './file-content.js';
import { modifiedOf } from './group-list.js';
import type { Place } from './object-create.js';
import type { IndexedObject } from './object-index.js';
import type { WriteOrder } from './write-order.js';

/** One layer of an index as its source has it. */
export interface DescribedLayer {
  readonly layer: number;
  /** The layer of which the source has the file, where that is another one: see layers that are merged. */
  readonly source?: number;
  /** NOTHING where the source has no entry, but an object that is active: what was there may be gone here only. */
  readonly kind: EntryKind | typeof NOTHING;
  readonly modified: number;
  /** See Entry.end. */
  readonly end: number;
  /** The last write, where the object is active at the source, or null. */
  readonly active: WriteOrder | null;
  /** Number of the source's file, to be told when blocks are asked for; 0 where there is none. */
  readonly serial: number;
  /** Bytes of the file. */
  readonly length: number;
  /** The file has all the blocks of an object, and the copy is to have them too. */
  readonly whole: boolean;
  /** A hash of PULL_HASH_BYTES for each PULL_BLOCK_BYTES of `length`, the last of which may be short. */
  readonly hashes: Buffer;
}

export interface IndexDescription {
  readonly family: number;
  readonly index: number;
  /** In the order of layer numbers. */
  readonly layers: readonly DescribedLayer[];
}

export interface BlockRange {
  readonly layer: number;
  readonly serial: number;
  /** A multiple of PULL_BLOCK_BYTES. */
  readonly offset: number;
  /** At most PULL_FETCH_BYTES. */
  readonly length: number;
}

const NO_HASHES = Buffer.alloc(0);

/**
 * Describes all layers of an index for who pulls it. The caller keeps other work from changing which file is where;
 * writes may go on, and reach the puller in another way. Rejects with EIO, DISK_FAILED.
 */
export async function describeIndex(disk: Disk, place: Place): Promise<IndexDescription> {
  if (disk.io.failure) throw disk.io.failure;
  const { family, index } = place;
  const layers: DescribedLayer[] = [];
  const objects = disk.index.scan(family, index, index + 1, Number.MAX_SAFE_INTEGER);
  for (const object of objects) layers.push(await describeLayer(disk, place, object));
  const known = new Set(objects.map(({ layer }) => layer));
  for (const { layer, active } of disk.layers.valuesOf(family)) {
    const record = active.get(index);
    if (!record || known.has(layer)) continue;
    const { modified, vdi, generation, sequence } = record;
    layers.push({ ...nothingAt(layer), modified, active: { vdi, generation, sequence } });
  }
  return { family, index, layers: layers.sort((a, b) => a.layer - b.layer) };
}

function nothingAt(layer: number): DescribedLayer {
  return {
    layer,
    kind: NOTHING,
    modified: 0,
    end: NO_END,
    active: null,
    serial: 0,
    length: 0,
    whole: false,
    hashes: NO_HASHES,
  };
}

/**
 * As `describeIndex`, of one layer, with the hashes of these blocks of its object alone, or of all. Null where there is
 * nothing, and nothing active.
 */
export async function describeBlocks(
  disk: Disk,
  place: Place,
  layer: number,
  blocks: readonly { offset: number; length: number }[] | null,
): Promise<DescribedLayer | null> {
  if (disk.io.failure) throw disk.io.failure;
  const { family, index } = place;
  const objects = disk.index.scan(family, index, index + 1, Number.MAX_SAFE_INTEGER);
  const object = objects.find((each) => each.layer === layer);
  if (object) return describeLayer(disk, place, object, blocks ?? undefined);
  return disk.layers.get(family, layer)?.active.has(index) ? nothingAt(layer) : null;
}

async function describeLayer(
  disk: Disk,
  place: Place,
  object: IndexedObject,
  blocks?: readonly { offset: number; length: number }[],
): Promise<DescribedLayer> {
  const { family, index, layer, kind, serial, end } = object;
  const record = disk.layers.get(family, layer)?.active.get(index);
  const described = {
    ...nothingAt(layer),
    kind,
    end,
    serial,
    modified: modifiedOf(disk, family, index, layer, object.modified),
    active: record ? { vdi: record.vdi, generation: record.generation, sequence: record.sequence } : null,
  };
  if (kind !== OBJECT) return described;
  const file = await disk.files.acquire(place.pg, family, index, layer, serial);
  if (!file) throw new Error('an index changed under its lock');
  try {
    const length = (await disk.io.stat(file.fd)).size;
    const whole = await isWhole(disk, file);
    return { ...described, length, whole, hashes: await hashBlocks(disk, file, length, blocks) };
  } finally {
    disk.files.release(file);
  }
}

/**
 * The bytes of a range of a described object; what lies behind its end now are zeros. Null where the layer has another
 * file by now, or none: the index is to be described again. Rejects with EIO, DISK_FAILED.
 */
export async function readBlocks(disk: Disk, place: Place, range: BlockRange): Promise<Buffer | null> {
  if (disk.io.failure) throw disk.io.failure;
  const { pg, family, index } = place;
  const { layer, serial, offset, length } = range;
  if (disk.index.find(family, index, layer) !== OBJECT || disk.index.foundSerial !== serial) return null;
  const file = await disk.files.acquire(pg, family, index, layer, serial);
  if (!file) return null;
  try {
    const bytes = Buffer.allocUnsafe(length);
    const filled = await disk.io.read(file.fd, bytes, length, offset);
    return bytes.fill(0, filled);
  } finally {
    disk.files.release(file);
  }
}
