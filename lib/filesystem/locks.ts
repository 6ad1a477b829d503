import type { Clock } from '../cluster/clock.js';
import type { DownHosts } from '../cluster/down-hosts.js';
import { HostClock } from '../cluster/host-clock.js';
import type { Coordination, Watch } from '../coordination/coordination.js';
import { OperationError } from '../fuse/errno.js';
import type { HeldLock, InterruptSignal, LockRequest } from '../fuse/operations.js';
import type { GenerationStep, Stepped } from '../replication/object-io.js';
import { LAST_BYTE } from './byte-range.js';
import { FileLocks } from './file-locks.js';
import type { LockWish } from './lock-table.js';

const PREFIX = '/locks/';

/** Ends what hosts that are down have of images. */
export interface LockBreaker {
  /** Which of these hosts are down, by the newest map. */
  down(hosts: readonly string[]): Promise<DownHosts>;
  /** See Vdis.endHandles. */
  endHandles(
    vdi: number,
    hosts: readonly string[],
    change: (step: GenerationStep) => Promise<Stepped<void>>,
  ): Promise<void>;
}

/** How often those who wait for a lock look whether the host that has it is down. */
const DOWN_CHECK_MS = 1000;

/**
 * The file locks that guests' processes take, cluster-wide: every decision is made on what is stored and answered when
 * it is stored, so that locks outlive the worker and hold on every host. Those who wait on one host are served in the
 * order in which they came; between hosts, whoever stores first.
 */
export class Locks {
  readonly #coordination: Coordination;
  readonly #host: string;
  readonly #clock: Clock;
  readonly #breaker: LockBreaker | null;
  #cancelCheck: (() => void) | null = null;
  #closed = false;
  readonly #files = new Map<number, FileLocks>();
  readonly #watch: Watch;

  /** With a `breaker`, locks of hosts that are down do not stand in the way. */
  constructor(
    coordination: Coordination,
    host: string,
    breaker: LockBreaker | null = null,
    clock: Clock = new HostClock(),
  ) {
    this.#coordination = coordination;
    this.#host = host;
    this.#breaker = breaker;
    this.#clock = clock;
    this.#watch = coordination.watch(PREFIX, (events) => {
      for (const { keyValue } of events) this.#files.get(vdiOf(keyValue.key))?.recheck();
    });
  }

  /** The first lock that stands in the way of the request, or null. The pid is 0 for a lock of another host. */
  async getlk(vdi: number, handle: number, request: LockRequest): Promise<HeldLock | null> {
    const wish = this.#wish(handle, request);
    await this.#use(vdi, (file) => this.#breakLocks(vdi, file, wish));
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
    await this.#use(vdi, async (file) => {
      await this.#breakLocks(vdi, file, wish);
      if (request.wait) this.#checkLater();
      await file.set(wish, request.wait, signal);
    });
  }

  /** Ends the locks of hosts that are down, where they stand in the way of the wish or, without one, of those who wait. */
  async #breakLocks(vdi: number, file: FileLocks, wish: LockWish | null): Promise<void> {
    const breaker = this.#breaker;
    if (!breaker || wish?.type === 'unlock') return;
    const others = (await file.inTheWay(wish)).filter((host) => host !== this.#host);
    if (others.length === 0) return;
    const { hosts } = await breaker.down(others);
    if (hosts.length === 0) return;
    // The host may come back at any moment, and its guests with it: they find out that they have lost the image.
    await breaker.endHandles(vdi, hosts, async (step) => {
      const still = await breaker.down(hosts);
      const inTheWay = await file.inTheWay(wish);
      const ended = still.hosts.filter((host) => inTheWay.includes(host));
      if (ended.length < hosts.length) return { stored: false, result: undefined };
      const also = { compare: [step.compare, ...still.compare], success: [step.put] };
      return (await file.dropHosts(ended, also)) ? { stored: true, result: undefined } : 'again';
    });
    file.recheck();
  }

  /** While somebody waits, looks again and again whether it waits for a host that is down. */
  #checkLater(): void {
    if (!this.#breaker || this.#cancelCheck || this.#closed) return;
    this.#cancelCheck = this.#clock.after(DOWN_CHECK_MS, () => {
      this.#cancelCheck = null;
      void this.#check().then((isWaiting) => {
        if (isWaiting) this.#checkLater();
      });
    });
  }

  /** Answers whether anybody waits. Never rejects: what failed is tried again. */
  async #check(): Promise<boolean> {
    const waited = [...this.#files].filter(([, file]) => file.waits);
    for (const [vdi, file] of waited) await this.#breakLocks(vdi, file, null).catch(() => undefined);
    return waited.length > 0;
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
    this.#closed = true;
    this.#cancelCheck?.();
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
