import { BLOCK_BYTES, STAT_BLOCK_BYTES } from './constants.js';
import type { FileStats, Files } from './files.js';

/**
 * Blocks of BLOCK_BYTES that an open file has, or null where that cannot be told. Asked at once: the kernel answers from
 * its memory in less time than it would take to hand the question to another thread.
 */
export function measure(files: Files, fd: number): number | null {
  try {
    return blocksIn(files.fstatSync(fd));
  } catch {
    // A disk that is gone: its next read or write says so, and the figure stays what it was.
    return null;
  }
}

export function blocksIn(stats: FileStats): number {
  return Math.ceil((stats.blocks * STAT_BLOCK_BYTES) / BLOCK_BYTES);
}
