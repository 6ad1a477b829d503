import { copyFile, stat, truncate } from 'node:fs/promises';

/** Of the log, and as much again of what was before it. */
export const LOG_BYTES_MAX = 4 * 1024 * 1024;

/** Moves a log that has become too long to `<path>.1`. Lines that are written in this moment may be lost. */
export async function trimLog(path: string, bytesMax = LOG_BYTES_MAX): Promise<void> {
  if ((await bytesOf(path)) <= bytesMax) return;
  // The program goes on writing to the same file, at its end.
  await copyFile(path, `${path}.1`);
  await truncate(path);
}

async function bytesOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw error;
  }
}
