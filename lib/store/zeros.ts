import { BLOCK_BYTES, CHUNK_BYTES } from './constants.js';

/** As many zeros as a chunk holds; never written to. */
export const ZEROS = Buffer.alloc(CHUNK_BYTES);

/** Whether the bytes from `start` to `end`, at most CHUNK_BYTES, are all zero. */
export function isZero(bytes: Buffer, start: number, end: number): boolean {
  // Most data gives itself away by its first byte.
  return bytes[start] === 0 && bytes.compare(ZEROS, 0, end - start, start, end) === 0;
}

/**
 * The end of the run of blocks that starts at `start`: all of them zero, or none. `start` and what is answered count
 * from the start of `bytes`, which begins at a block; only the last block may be short.
 */
export function runEnd(bytes: Buffer, start: number, length: number, zero: boolean): number {
  let position = start;
  while (position < length) {
    const end = Math.min(position + BLOCK_BYTES, length);
    if (isZero(bytes, position, end) !== zero) break;
    position = end;
  }
  return position;
}
