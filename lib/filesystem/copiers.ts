import { constants, readFileSync, readlinkSync } from 'node:fs';
import { resolve } from 'node:path';

/** O_ACCMODE of open(2), which Node does not name. */
const ACCESS_MODE = 0o3;
/** Who has a file open only to read, by process; more are not remembered. */
const OPENS_MAX = 4096;

/**
 * Knows which processes are a `cp` from the mount to the mount.
 *
 * cp asks the kernel to copy a whole file at once, which here is an instant clone, only where the file does not look
 * sparse; coreutils before 9.2 (Debian 12 has 9.1) reads a sparse one and writes it. So to such a cp, and to nobody
 * else, an image that it has opened shows as many blocks as its size has. A cp to somewhere else has to see the holes.
 */
export class Copiers {
  readonly #mountPoint: string;
  readonly #opens = new Map<number, { node: number; pid: number }>();

  constructor(mountPoint: string) {
    this.#mountPoint = mountPoint;
  }

  opened(handle: number, node: number, pid: number, flags: number): void {
    if ((flags & ACCESS_MODE) !== constants.O_RDONLY || pid === 0 || this.#opens.size >= OPENS_MAX) return;
    this.#opens.set(handle, { node, pid });
  }

  released(handle: number): void {
    this.#opens.delete(handle);
  }

  /** Whether that process is a cp within the mount that has the file open as its source. */
  isCopying(node: number, pid: number): boolean {
    for (const open of this.#opens.values()) {
      if (open.node === node && open.pid === pid) return this.#clones(pid);
    }
    return false;
  }

  // Only names are looked at: to touch the mount from the process that serves it would be to wait for oneself.
  #clones(pid: number): boolean {
    try {
      if (readFileSync(`/proc/${pid}/comm`, 'utf8').trimEnd() !== 'cp') return false;
      const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(1, -1);
      const target = copyTarget(args);
      if (target === null) return false;
      const path = resolve(readlinkSync(`/proc/${pid}/cwd`), target);
      return path === this.#mountPoint || path.startsWith(`${this.#mountPoint}/`);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES') return false; // gone meanwhile, or not ours to see
      throw error;
    }
  }
}

/** Where cp's arguments say that it copies to; null where they ask for what a clone is not. */
export function copyTarget(args: readonly string[]): string | null {
  let target: string | null = null;
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (/^--(sparse=(always|never)|reflink=never)$/.test(arg)) return null;
    if (arg === '-t' || arg === '--target-directory') return args[i + 1] ?? null;
    if (arg.startsWith('--target-directory=')) return arg.slice('--target-directory='.length);
    if (!arg.startsWith('-')) target = arg;
  }
  return target;
}
