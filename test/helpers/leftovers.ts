/** What a test file left behind although it should not have: found by the temporary directory that it was given. */
import { readdirSync, readFileSync } from 'node:fs';
import { chmod, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { killProcess, mountsBelow, unmount } from './cleanup.js';
import { executableOf, isRunning } from './proc.js';
import { must } from './run.js';

/** A new directory to be the TMPDIR of one test file. Its path is short: paths of UNIX sockets are limited. */
export async function temporaryRoot(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'sd-'));
  // Some tests act as another user, who has to get there.
  await chmod(path, 0o711);
  return path;
}

/**
 * Ends the processes that still run with `root` as their TMPDIR, takes away the mounts below it and removes it.
 * Answers what there was, in words.
 */
export async function putAwayWhatIsLeft(root: string): Promise<string[]> {
  const left: string[] = [];
  for (const pid of processesWith(root)) {
    left.push(`process ${pid} (${executableOf(pid) ?? '?'})`);
    killProcess(pid);
  }
  for (const mount of mountsBelow(root)) {
    left.push(`mount ${mount}`);
    unmount(mount);
  }
  await must('rm', ['-rf', '--one-file-system', root]);
  return left;
}

function processesWith(root: string): number[] {
  const mark = `TMPDIR=${root}\0`;
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(mark) && isRunning(pid);
      } catch {
        // It ended meanwhile.
        return false;
      }
    });
}
