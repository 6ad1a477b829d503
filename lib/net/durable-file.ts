import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

/** What the file has, or null where there is none. Rejects as the file system does. */
export async function readIfThere(path: string): Promise<Buffer | null> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/**
 * Replaces the file by one that has `content` and that only its owner can read: after a crash at any moment there is
 * either the old one or the new one, and when this resolves it is the new one. One call at a time for a path. Rejects as
 * the file system does.
 */
export async function replaceDurably(path: string, content: string): Promise<void> {
  const temporary = `${path}.new`;
  const file = await open(temporary, 'w', 0o600);
  try {
    // One that was left by a crash keeps its mode.
    await file.chmod(0o600);
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  const directory = await open(dirname(path), 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
