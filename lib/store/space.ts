import { OBJECT_BYTES } from './constants.js';
import type { FileIo } from './file-io.js';
import type { FilesystemStats } from './files.js';

export type SpaceState =
  /** Writes allocate as they come. */
  | 'ok'
  /** The first write to an object gives it all its blocks. */
  | 'low'
  /** Objects that do not have all their blocks are not written to. */
  | 'full';

export interface SpaceReport {
  /** Bytes of the file system. */
  total: number;
  /** Bytes left for us by the last look. */
  free: number;
  /** Bytes kept back for the index and for what must go on when the disk is full. */
  reserve: number;
  state: SpaceState;
}

/** Part of a disk that is kept back. */
const RESERVE_SHARE = 1 / 50;
/** At least this much, for the index and the files being copied; ... */
const RESERVE_BYTES_MIN = 2 * OBJECT_BYTES;
/** ... at most this much on a huge disk; ... */
const RESERVE_BYTES_MAX = 2 * 1024 ** 3;
/** ... and never more than this part of a tiny one. */
const RESERVE_SHARE_MAX = 1 / 8;
/** The state is 'low' below the reserve times this. */
const HIGH_MARK = 2;
/** Bytes that may have been allocated before the file system is asked again. */
const REFRESH_BYTES_MAX = 64 * 1024 ** 2;

/** The reserve of a disk of `total` bytes: the low mark. */
export function reserveOf(total: number): number {
  const reserve = Math.min(Math.max(total * RESERVE_SHARE, RESERVE_BYTES_MIN), RESERVE_BYTES_MAX);
  return Math.floor(Math.min(reserve, total * RESERVE_SHARE_MAX));
}

/**
 * How full the disk is. Between two looks it reckons with every byte that may have been allocated; so `state` errs on
 * the side of caution, and who is stopped by it asks `refresh` before believing it.
 */
export class Space {
  readonly #directory: string;
  readonly #io: FileIo;
  readonly #onResized: (total: number) => void;
  readonly #onState: () => void;
  #total = 0;
  #free = 0;
  #reserve = 0;
  /** Bytes that may have been allocated since the last look. */
  #charged = 0;
  /** Bytes promised to who is filling an object now. */
  #promised = 0;
  #looking: Promise<void> | null = null;
  state: SpaceState = 'ok';

  constructor(directory: string, io: FileIo, onResized: (total: number) => void, onState: () => void) {
    this.#directory = directory;
    this.#io = io;
    this.#onResized = onResized;
    this.#onState = onState;
  }

  report(): SpaceReport {
    return { total: this.#total, free: this.#free, reserve: this.#reserve, state: this.state };
  }

  /** The state, by the file system's own word where the reckoning says that space runs short. */
  async current(): Promise<SpaceState> {
    if (this.state !== 'ok') await this.refresh();
    return this.state;
  }

  /** To be called before bytes are written where there may be no blocks yet. */
  charge(bytes: number): void {
    this.#charged += bytes;
    this.#judge();
    if (this.#charged < Math.min(REFRESH_BYTES_MAX, this.#reserve / 2) || this.#looking) return;
    // A failed look is one of the disk, which says so itself.
    this.refresh().catch(() => {});
  }

  /** Keeps `bytes` back for the caller until it calls what is answered. */
  promise(bytes: number): () => void {
    this.#promised += bytes;
    this.#judge();
    return () => {
      this.#promised -= bytes;
      this.#charged += bytes;
      this.#judge();
    };
  }

  /** Asks the file system. Rejects with DISK_FAILED. */
  refresh(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null;
    });
    return this.#looking;
  }

  async #look(): Promise<void> {
    const charged = this.#charged;
    const statistics = await this.#io.call<FilesystemStats>((done) => this.#io.files.statfs(this.#directory, done));
    const total = statistics.blocks * statistics.bsize;
    const before = this.#total;
    this.#total = total;
    this.#free = statistics.bavail * statistics.bsize;
    this.#reserve = reserveOf(total);
    this.#charged -= charged;
    this.#judge();
    if (before !== 0 && before !== total) this.#onResized(total);
  }

  #judge(): void {
    const left = this.#free - this.#charged - this.#promised;
    const state = left < this.#reserve ? 'full' : left < this.#reserve * HIGH_MARK ? 'low' : 'ok';
    if (state === this.state) return;
    this.state = state;
    this.#onState();
  }
}
