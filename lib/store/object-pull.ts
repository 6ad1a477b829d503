import { blockCount, hashBlocks, isSameBlock } from './block-hashes.js';
import type { Disk } from './disk.js';
import { OBJECT } from './entry.js';
import { fillObject } from './file-content.js';
import type { GroupName } from './group-records.js';
import { abandon, type Place, reserve } from './object-create.js';
import type { BlockRange, DescribedLayer, IndexDescription } from './object-describe.js';
import type { IndexedObject } from './object-index.js';
import type { OpenFile } from './open-file.js';
import { makeObject } from './pull-content.js';
import { installIndex } from './pull-install.js';

export { cutHashes, PULL_BLOCK_BYTES, PULL_HASH_BYTES } from './block-hashes.js';
export {
  type BlockRange,
  type DescribedLayer,
  describeBlocks,
  describeIndex,
  type IndexDescription,
  readBlocks,
} from './object-describe.js';
export { PULL_FETCH_BYTES } from './pull-content.js';

export interface PullOptions {
  /**
   * Asks the source for the bytes of a range: exactly `length`. Rejects with what the caller wants to see; the pull ends
   * with that, and nothing has changed.
   */
  fetch(range: BlockRange): Promise<Buffer>;
  /** Called when all was fetched, before anything of it is put in place. What it throws ends the pull. */
  installing?(): void;
  /** The group, off whose to-do list the index is taken in the commit that installs it. */
  group: GroupName;
  /** A write waits for it, so that it may use up what is kept back. */
  urgent?: boolean;
}

export interface PullResult {
  /** Bytes that were fetched. */
  fetched: number;
  /** Bytes that were taken from this disk's own copies. */
  copied: number;
  /** Objects that were made anew. */
  installed: number;
}

/** An object that this disk has at the index. */
export interface OwnObject {
  readonly entry: IndexedObject;
  readonly file: OpenFile;
  readonly length: number;
  readonly hashes: Buffer;
}

/** What a layer of the source becomes here: a file that was made, or the own one, which has the same bytes. */
export interface PulledLayer {
  readonly described: DescribedLayer;
  readonly made: { readonly file: OpenFile; readonly end: number } | null;
  readonly kept: OwnObject | null;
}

/**
 * Makes an index, all its layers, what its source described, and deletes what that lacks. Objects that differ get a
 * complete new file each, for which only blocks are fetched that this disk does not have; then one commit switches to
 * all of them, and takes the index off the to-do list. Until they are synced a power cut takes the index back to what it
 * was. The caller holds the index alone.
 *
 * Throws ENOSPC, EIO, DISK_FAILED, and what `fetch` rejects with; but for DISK_FAILED, nothing has changed then.
 */
export async function pullIndex(
  disk: Disk,
  place: Place,
  description: IndexDescription,
  options: PullOptions,
): Promise<PullResult> {
  if (description.family !== place.family || description.index !== place.index) throw new Error('another index');
  await disk.syncInherited();
  await disk.flusher.room();
  await disk.trash.room();
  await settleEarlier(disk, place);
  const result: PullResult = { fetched: 0, copied: 0, installed: 0 };
  const own: OwnObject[] = [];
  const layers: PulledLayer[] = [];
  try {
    await readOwn(disk, place, own);
    for (const described of description.layers) {
      layers.push(await prepareLayer(disk, place, described, own, options, result));
    }
    options.installing?.();
    await installIndex(disk, place, layers, options.group);
  } catch (error) {
    for (const { made } of layers) if (made) abandon(disk, made.file);
    throw error;
  } finally {
    for (const { file } of own) disk.files.release(file);
  }
  // What is kept in place may be written to at once: its record must be on disk by then.
  if (disk.durableActivity && layers.some(({ described }) => described.active)) await disk.index.durable();
  return result;
}

/** What an earlier pull or copy put there is synced first: a discard would otherwise have to know two predecessors. */
async function settleEarlier(disk: Disk, { family, index }: Place): Promise<void> {
  const objects = disk.index.scan(family, index, index + 1, Number.MAX_SAFE_INTEGER);
  const unsynced = objects.some(({ layer }) => disk.index.isUnsynced(family, index, layer));
  if (!unsynced && !disk.replaced.has(family, index)) return;
  await disk.flush(
    family,
    objects.map(({ layer }) => ({ layer, limit: 0 })),
  );
}

/** Puts the objects that the disk has into `own`, their files held. */
async function readOwn(disk: Disk, { pg, family, index }: Place, own: OwnObject[]): Promise<void> {
  for (const entry of disk.index.scan(family, index, index + 1, Number.MAX_SAFE_INTEGER)) {
    if (entry.kind !== OBJECT) continue;
    const file = await disk.files.acquire(pg, family, index, entry.layer, entry.serial);
    if (!file) throw new Error('an index changed under its lock');
    try {
      const length = (await disk.io.stat(file.fd)).size;
      own.push({ entry, file, length, hashes: await hashBlocks(disk, file, length) });
    } catch (error) {
      disk.files.release(file);
      throw error;
    }
  }
}

async function prepareLayer(
  disk: Disk,
  place: Place,
  described: DescribedLayer,
  own: readonly OwnObject[],
  { fetch, urgent = false }: PullOptions,
  result: PullResult,
): Promise<PulledLayer> {
  if (described.kind !== OBJECT) return { described, made: null, kept: null };
  const { low, release } = await reserve(disk, urgent);
  try {
    const kept = own.find((object) => isSame(object, described)) ?? null;
    if (kept) {
      if (described.whole) await fillObject(disk, kept.file);
      return { described, made: null, kept };
    }
    const made = await makeObject(disk, place, described, own, low, fetch, result);
    result.installed++;
    return { described, made, kept: null };
  } finally {
    release();
  }
}

function isSame({ entry, length, hashes }: OwnObject, described: DescribedLayer): boolean {
  if (entry.layer !== described.layer || length !== described.length) return false;
  for (let block = 0; block < blockCount(length); block++) {
    if (!isSameBlock(hashes, described.hashes, block)) return false;
  }
  return true;
}
