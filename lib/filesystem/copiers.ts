import { constants, readFileSync } from 'node:fs';

/** O_ACCMODE of open(2), which Node does not name. */
const ACCESS_MODE = 0o3;

/** Who has a file open only to read, by process; more are not remembered. */
const OPENS_MAX = 4096;

/**
 * Knows which processes are `cp` with a source open.
 *
 * cp asks the kernel to copy a whole file at once, which here is an instant clone, only where the file does not look
 * sparse; coreutils before 9.2 (Debian 12 has 9.1) reads a sparse one and writes it. So to cp, and to nobody
 * else, an image that it has opened shows as many blocks as its size has.
 */
export class Copiers {
  readonly #opens = new Map<number, { node: number; pid: number }>();

  opened(handle: number, node: number, pid: number, flags: number): void {
    if ((flags & ACCESS_MODE) !== constants.O_RDONLY || pid === 0 || this.#opens.size >= OPENS_MAX) return;
    this.#opens.set(handle, { node, pid });
  }

  released(handle: number): void {
    this.#opens.delete(handle);
  }

  /** Whether that process is a cp that has the file open as its source. */
  isCopying(node: number, pid: number): boolean {
    for (const open of this.#opens.values()) {
      if (open.node === node && open.pid === pid) return commandOf(pid) === 'cp';
    }
    return false;
  }
}

/** The name of a process's program, at most 15 bytes (proc(5)); empty for one that is gone. */
function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trimEnd();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || (error as NodeJS.ErrnoException).code === 'ESRCH')
      return '';
    throw error;
  }
}
