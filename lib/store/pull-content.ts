import { blockCount, isSameBlock, isZeroBlock, PULL_BLOCK_BYTES } from './block-hashes.js';
import { CHUNK_BYTES, OBJECT_BYTES } from './constants.js';
import type { Disk } from './disk.js';
import { NO_END } from './entry.js';
import { fillObject } from './file-content.js';
import { abandon, cloneFile, type Place } from './object-create.js';
import type { DescribedLayer } from './object-describe.js';
import type { OwnObject, PullOptions, PullResult } from './object-pull.js';
import type { OpenFile } from './open-file.js';
import { ZEROS } from './zeros.js';

/** Bytes asked for at once. */
export const PULL_FETCH_BYTES = 1024 * 1024;

/** How a block of a new file comes to be right. */
type Way = 'kept' | 'zero' | 'copied' | 'fetched';

/** Blocks of the own object that may serve for the new file. */
interface Base {
  readonly object: OwnObject;
  /** Blocks, other than zeros, that are the same. */
  readonly same: number;
}

/** A file, held, with the bytes that the source described, and its end; the index does not have it yet. */
export async function makeObject(
  disk: Disk,
  place: Place,
  described: DescribedLayer,
  own: readonly OwnObject[],
  low: boolean,
  fetch: PullOptions['fetch'],
  result: PullResult,
): Promise<{ file: OpenFile; end: number }> {
  const base = bestBase(described, own);
  const clone = base ? await cloneBase(disk, place, described, base) : null;
  const file = clone ?? (await disk.files.create(place.pg, place.family, place.index, described.layer));
  try {
    const { hashes, length } = described;
    const wayOf = (block: number): Way => {
      const same = base !== null && isSameBlock(base.object.hashes, hashes, block);
      if (clone && same) return 'kept';
      if (isZeroBlock(hashes, block)) return clone ? 'zero' : 'kept';
      return same ? 'copied' : 'fetched';
    };
    for (const { way, offset, bytes } of runsOf(length, wayOf)) {
      if (way === 'zero') await clear(disk, file, offset, bytes);
      else if (way === 'copied') await copyRange(disk, base!.object.file, file, offset, bytes);
      else if (way === 'fetched') await fetchRange(disk, file, described, offset, bytes, fetch);
      if (way === 'fetched') result.fetched += bytes;
      else if (way === 'copied') result.copied += bytes;
    }
    if ((await disk.io.stat(file.fd)).size !== length) await disk.io.truncate(file.fd, length);
    return { file, end: await fillWhere(disk, file, described, low) };
  } catch (error) {
    abandon(disk, file);
    throw error;
  }
}

/** The own object of which the most can be used: of the same layer, or of one that was merged into it at the source. */
function bestBase({ hashes, length }: DescribedLayer, own: readonly OwnObject[]): Base | null {
  let best: Base | null = null;
  for (const object of own) {
    let same = 0;
    for (let block = 0; block < blockCount(length); block++) {
      if (!isZeroBlock(hashes, block) && isSameBlock(object.hashes, hashes, block)) same++;
    }
    if (same > (best?.same ?? 0)) best = { object, same };
  }
  return best;
}

/** A file, held, that shares its blocks with the base; null where that is not worth it, or cannot be done. */
async function cloneBase(disk: Disk, place: Place, described: DescribedLayer, base: Base): Promise<OpenFile | null> {
  let blocks = 0;
  for (let block = 0; block < blockCount(described.length); block++) {
    if (!isZeroBlock(described.hashes, block)) blocks++;
  }
  if (!disk.clones || base.same * 2 < blocks) return null;
  return cloneFile(disk, place, described.layer, base.object.file, described.length);
}

/** The ranges of an object's blocks that are treated alike, none longer than what is fetched at once. */
function* runsOf(
  length: number,
  wayOf: (block: number) => Way,
): Generator<{ way: Way; offset: number; bytes: number }> {
  const blocksMax = PULL_FETCH_BYTES / PULL_BLOCK_BYTES;
  const blocks = blockCount(length);
  for (let block = 0; block < blocks; ) {
    const way = wayOf(block);
    let end = block + 1;
    while (end < blocks && end - block < blocksMax && wayOf(end) === way) end++;
    const offset = block * PULL_BLOCK_BYTES;
    yield { way, offset, bytes: Math.min(end * PULL_BLOCK_BYTES, length) - offset };
    block = end;
  }
}

async function clear(disk: Disk, file: OpenFile, offset: number, length: number): Promise<void> {
  if (await disk.io.punch(file.fd, offset, length)) return;
  for (let done = 0; done < length; done += ZEROS.length) {
    await disk.io.write(file.fd, ZEROS, 0, Math.min(ZEROS.length, length - done), offset + done);
  }
}

async function copyRange(disk: Disk, source: OpenFile, file: OpenFile, offset: number, length: number): Promise<void> {
  if (length > CHUNK_BYTES) throw new Error('more than a chunk');
  await disk.chunks.with(async (chunk) => {
    const filled = await disk.io.read(source.fd, chunk, length, offset);
    // The same block may end earlier there.
    chunk.fill(0, filled, length);
    await disk.io.write(file.fd, chunk, 0, length, offset);
  });
}

async function fetchRange(
  disk: Disk,
  file: OpenFile,
  { layer, source = layer, serial }: DescribedLayer,
  offset: number,
  length: number,
  fetch: PullOptions['fetch'],
): Promise<void> {
  const bytes = await fetch({ layer: source, serial, offset, length });
  if (bytes.length !== length) throw new Error(`${bytes.length} bytes were fetched, and not ${length}`);
  await disk.io.write(file.fd, bytes, 0, length, offset);
}

/** Gives the file all its blocks where the source's has them, or space runs short here. Answers the object's end. */
async function fillWhere(disk: Disk, file: OpenFile, described: DescribedLayer, low: boolean): Promise<number> {
  const { length, end, whole } = described;
  if (!whole && !low) return end;
  await fillObject(disk, file);
  return end === NO_END && length < OBJECT_BYTES ? length : end;
}
