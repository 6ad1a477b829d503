import type { Coordination, Watch } from '../coordination/coordination.js';
import { OperationError } from '../fuse/errno.js';
import type { HeldLock, InterruptSignal, LockRequest } from '../fuse/operations.js';
import { LAST_BYTE } from './byte-range.js';
import { FileLocks } from './file-locks.js';
import type { LockWish } from './lock-table.js';

const PREFIX = '/locks/';

/**
 * The file locks that guests' processes take, cluster-wide: every decision is made on what is stored and answered when
 * it is stored, so that locks outlive the worker and hold on every host. Those who wait on one host are served in the
 * order in which they came; between hosts, whoever stores first.
 */
export class Locks {
  readonly #coordination: Coordination;
  readonly #host: string;
  readonly #files = new Map<number, FileLocks>();
  readonly #watch: Watch;

  constructor(coordination: Coordination, host: string) {
    this.#coordination = coordination;
    this.#host = host;
    this.#watch = coordination.watch(PREFIX, (events) => {
      for (const { keyValue } of events) this.#files.get(vdiOf(keyValue.key))?.recheck();
    });
  }

  /** The first lock that stands in the way of the request, or null. The pid is 0 for a lock of another host. */
  async getlk(vdi: number, handle: number, request: LockRequest): Promise<HeldLock | null> {
    const wish = this.#wish(handle, request);
    const lock = await this.#use(vdi, (file) => file.ask((table) => table.test(wish)));
    if (lock === null) return null;
    const { type, start, end, pid, host } = lock;
    return { type, start, end, pid: host === this.#host ? pid : 0 };
  }

  /**
   * Takes or gives back a lock. Throws OperationError EAGAIN when it cannot be had and is not to be waited for; EINTR
   * when a wait is interrupted and EDEADLK when it would never end; ENOLCK when there are too many; EINVAL for a range
   * that is none.
   */
  async setlk(vdi: number, handle: number, request: LockRequest, signal: InterruptSignal): Promise<void> {
    const wish = this.#wish(handle, request);
    await this.#use(vdi, (file) => file.set(wish, request.wait, signal));
  }

  /** Ends the locks that were taken by an open file: the kernel sends no unlock for OFD locks. */
  async releaseHandle(vdi: number, handle: number): Promise<void> {
    await this.#use(vdi, (file) => file.apply((table) => table.releaseHandle(this.#host, handle)));
  }

  /** Ends the POSIX locks of a process that closes the file, by whichever handle it took them. */
  async flushOwner(vdi: number, _handle: number, owner: bigint): Promise<void> {
    const lockOwner = { host: this.#host, owner: ownerText(owner) };
    await this.#use(vdi, (file) => file.apply((table) => table.flushOwner(lockOwner)));
  }

  /** Ends all locks of a host. */
  async dropAllOf(host: string): Promise<void> {
    for (const { key } of await this.#coordination.range(PREFIX)) {
      await this.#use(vdiOf(key), (file) => file.apply((table) => table.dropHost(host)));
    }
  }

  /** Ends all locks of an image that is no more. */
  async remove(vdi: number): Promise<void> {
    await this.#use(vdi, (file) => file.remove());
  }

  close(): void {
    this.#watch.close();
  }

  async #use<T>(vdi: number, work: (file: FileLocks) => Promise<T>): Promise<T> {
    let file = this.#files.get(vdi);
    if (file === undefined) {
      file = new FileLocks(this.#coordination, PREFIX + vdi);
      this.#files.set(vdi, file);
    }
    try {
      return await work(file);
    } finally {
      if (file.isIdle && this.#files.get(vdi) === file) this.#files.delete(vdi);
    }
  }

  #wish(handle: number, request: LockRequest): LockWish {
    const { type, pid } = request;
    const kind = request.flock ? 'flock' : 'posix';
    const owned = { kind, type, pid, handle, host: this.#host, owner: ownerText(request.owner) } as const;
    if (request.flock) return { ...owned, start: 0, end: LAST_BYTE };
    // What lies beyond what can be counted exactly is one byte: locks there meet more often than they should, and never
    // less.
    const [start, end] = [Math.min(request.start, LAST_BYTE), Math.min(request.end, LAST_BYTE)];
    if (!(start >= 0 && end >= start)) throw new OperationError('EINVAL', `a lock from ${start} to ${end}`);
    return { ...owned, start, end };
  }
}

function vdiOf(key: string): number {
  return Number(key.slice(PREFIX.length));
}

function ownerText(owner: bigint): string {
  return BigInt.asUintN(64, owner).toString(16).padStart(16, '0');
}
