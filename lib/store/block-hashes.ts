import { CHUNK_BYTES, OBJECT_BYTES } from './constants.js';
import type { Disk } from './disk.js';
import type { OpenFile } from './open-file.js';
import { isZero } from './zeros.js';

/** What is compared, and fetched where it differs. */
export const PULL_BLOCK_BYTES = 64 * 1024;
/** Of a block's hash. All zeros: the block is nothing but zeros; all ones: the hash is not known. */
export const PULL_HASH_BYTES = 16;

const ZERO = Buffer.alloc(PULL_HASH_BYTES);
const UNKNOWN = Buffer.alloc(PULL_HASH_BYTES, 0xff);

export function blockCount(length: number): number {
  return Math.ceil(length / PULL_BLOCK_BYTES);
}

const WHOLE = [{ offset: 0, length: OBJECT_BYTES }];

/**
 * A hash (BLAKE2b) of each block of the file's first `length` bytes, and of what a short last one reads as, zeros behind its
 * end: where space runs short a copy has those in its file. `ranges`, of whole blocks, are all that is looked at: the
 * others have hashes of zeros.
 */
export async function hashBlocks(
  disk: Disk,
  file: OpenFile,
  length: number,
  ranges: readonly { offset: number; length: number }[] = WHOLE,
): Promise<Buffer> {
  const hashes = Buffer.alloc(blockCount(length) * PULL_HASH_BYTES);
  for (const range of ranges) {
    await hashRange(disk, file, range.offset, Math.min(length, range.offset + range.length), hashes);
  }
  return hashes;
}

async function hashRange(disk: Disk, file: OpenFile, from: number, to: number, hashes: Buffer): Promise<void> {
  await disk.chunks.with(async (chunk) => {
    for (let position = from; position < to; position += CHUNK_BYTES) {
      const wanted = Math.min(CHUNK_BYTES, to - position);
      const filled = await disk.io.read(file.fd, chunk, wanted, position);
      // The last block, or the file was cut since its length was asked for.
      const blocks = blockCount(wanted) * PULL_BLOCK_BYTES;
      chunk.fill(0, filled, blocks);
      for (let start = 0; start < blocks; start += PULL_BLOCK_BYTES) {
        const end = start + PULL_BLOCK_BYTES;
        if (isZero(chunk, start, end)) continue;
        const at = ((position + start) / PULL_BLOCK_BYTES) * PULL_HASH_BYTES;
        disk.system.hash(hashes.subarray(at, at + PULL_HASH_BYTES), chunk.subarray(start, end));
      }
    }
  });
}

/** Whether a block is known to be nothing but zeros. A block behind the last counts so. */
export function isZeroBlock(hashes: Buffer, block: number): boolean {
  const at = block * PULL_HASH_BYTES;
  return at >= hashes.length || hashes.compare(ZERO, 0, PULL_HASH_BYTES, at, at + PULL_HASH_BYTES) === 0;
}

/** Whether both are known to have the same bytes in a block. */
export function isSameBlock(hashes: Buffer, others: Buffer, block: number): boolean {
  const at = block * PULL_HASH_BYTES;
  if (at >= hashes.length || at >= others.length) return isZeroBlock(hashes, block) && isZeroBlock(others, block);
  const end = at + PULL_HASH_BYTES;
  return hashes.compare(others, at, end, at, end) === 0 && hashes.compare(UNKNOWN, 0, PULL_HASH_BYTES, at, end) !== 0;
}

/** The hashes of what is left of a file that is cut to `length` bytes: of a block that is cut it is not known. */
export function cutHashes(hashes: Buffer, length: number): Buffer {
  const cut = Buffer.from(hashes.subarray(0, blockCount(length) * PULL_HASH_BYTES));
  if (length % PULL_BLOCK_BYTES !== 0 && !isZeroBlock(cut, blockCount(length) - 1))
    UNKNOWN.copy(cut, cut.length - PULL_HASH_BYTES);
  return cut;
}
