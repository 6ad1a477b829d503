import { BLOCK_BYTES, CHUNK_BYTES, OBJECT_BYTES, STAT_BLOCK_BYTES } from './constants.js';
import type { Disk } from './disk.js';
import type { OpenFile } from './open-file.js';
import { runEnd, ZEROS } from './zeros.js';

/**
 * Copies the first `length` bytes of a file, without its zeros, to an empty one on the same or another disk. The target
 * may come out shorter: what is missing are zeros.
 */
export async function copyContent(
  source: { disk: Disk; file: OpenFile },
  target: { disk: Disk; file: OpenFile },
  length: number,
): Promise<void> {
  await target.disk.chunks.with(async (chunk) => {
    for (let position = 0; position < length; position += CHUNK_BYTES) {
      const wanted = Math.min(CHUNK_BYTES, length - position);
      const filled = await source.disk.io.read(source.file.fd, chunk, wanted, position);
      await eachRun(chunk, filled, false, (start, end) => {
        target.disk.space.charge(end - start);
        return target.disk.io.write(target.file.fd, chunk, start, end - start, position + start);
      });
      if (filled < wanted) return;
    }
  });
}

/** Calls `use` for every run of blocks of the first `length` bytes that are zero (or are not), one after another. */
async function eachRun(
  chunk: Buffer,
  length: number,
  zero: boolean,
  use: (start: number, end: number) => Promise<void>,
): Promise<void> {
  let position = 0;
  while (position < length) {
    const start = runEnd(chunk, position, length, !zero);
    const end = runEnd(chunk, start, length, zero);
    if (end > start) await use(start, end);
    position = end;
  }
}

/** Makes zeros of all that a file has from `end` on. Answers whether there was anything. */
export async function clearBehind(disk: Disk, fd: number, end: number): Promise<boolean> {
  let isChanged = false;
  await disk.chunks.with(async (chunk) => {
    for (let position = end; ; position += CHUNK_BYTES) {
      const filled = await disk.io.read(fd, chunk, CHUNK_BYTES, position);
      await eachRun(chunk, filled, false, async (start, stop) => {
        isChanged = true;
        await disk.io.write(fd, ZEROS, 0, stop - start, position + start);
      });
      if (filled < CHUNK_BYTES) return;
    }
  });
  return isChanged;
}

/** Gives the file all blocks of an object. What it holds stays. Throws ENOSPC. */
export async function fillObject(disk: Disk, file: OpenFile): Promise<void> {
  if (await isWhole(disk, file)) return;
  await disk.chunks.with(async (chunk) => {
    for (let position = 0; position < OBJECT_BYTES; position += CHUNK_BYTES) {
      const filled = await disk.io.read(file.fd, chunk, CHUNK_BYTES, position);
      chunk.fill(0, filled);
      // A zero block may be a hole, and writing zeros over zeros is no loss where it is none.
      await eachRun(chunk, CHUNK_BYTES, true, (start, end) =>
        disk.io.write(file.fd, ZEROS, 0, end - start, position + start),
      );
    }
  });
  file.whole = true;
}

/** Whether no write to the file can need a new block. Remembered by the open file. */
export async function isWhole(disk: Disk, file: OpenFile): Promise<boolean> {
  if (!file.whole) {
    const stats = await disk.io.stat(file.fd);
    file.whole = stats.size >= OBJECT_BYTES && stats.blocks * STAT_BLOCK_BYTES >= OBJECT_BYTES;
  }
  return file.whole;
}

/**
 * The first byte at or after `offset` in the first `visible` bytes of the file that is data or, where `data` is false,
 * lies in a block of zeros; null when there is none. What lies beyond the file's end, up to OBJECT_BYTES, is a hole.
 */
export async function seekContent(
  disk: Disk,
  file: OpenFile,
  visible: number,
  offset: number,
  data: boolean,
): Promise<number | null> {
  const stats = await disk.io.stat(file.fd);
  const length = Math.min(stats.size, visible);
  const hole = length < OBJECT_BYTES ? Math.max(offset, length) : null;
  if (offset >= length) return data ? null : hole;
  if (stats.blocks * STAT_BLOCK_BYTES >= stats.size) return data ? offset : hole;
  const found = await disk.chunks.with(async (chunk) => {
    let position = offset - (offset % BLOCK_BYTES);
    while (position < length) {
      const wanted = Math.min(CHUNK_BYTES, length - position);
      const filled = await disk.io.read(file.fd, chunk, wanted, position);
      const run = runEnd(chunk, 0, filled, data);
      if (run < filled) return Math.max(offset, position + run);
      if (filled < wanted) break;
      position += filled;
    }
    return null;
  });
  return found ?? (data ? null : hole);
}
