import { OperationError } from '../../lib/fuse/errno.js';
import type { HeldLock, InterruptSignal, LockRequest } from '../../lib/fuse/operations.js';

interface Held {
  node: number;
  handle: number;
  owner: bigint;
  flock: boolean;
  type: 'read' | 'write';
  start: number;
  end: number;
  pid: number;
}

interface Waiter {
  node: number;
  handle: number;
  request: LockRequest;
  settle: (error: OperationError | null) => void;
}

/** Byte-range locks and flocks of a mount, first come first served. */
export class MemoryLocks {
  #held: Held[] = [];
  #waiters: Waiter[] = [];

  test(node: number, request: LockRequest): HeldLock | null {
    const found = this.#conflict(node, request);
    return found && { type: found.type, start: found.start, end: found.end, pid: found.pid };
  }

  set(node: number, handle: number, request: LockRequest, signal: InterruptSignal): Promise<void> {
    if (request.type === 'unlock' || !this.#conflict(node, request)) {
      this.#apply(node, handle, request);
      this.#wake();
      return Promise.resolve();
    }
    if (!request.wait) return Promise.reject(new OperationError('EAGAIN'));
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { node, handle, request, settle: (error) => (error ? reject(error) : resolve()) };
      this.#waiters.push(waiter);
      const interrupt = () => {
        if (!this.#waiters.includes(waiter)) return;
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
        waiter.settle(new OperationError('EINTR'));
      };
      if (signal.aborted) interrupt();
      else signal.onAbort(interrupt);
    });
  }

  /** A close: the POSIX locks of this owner end, whatever descriptor took them. */
  flush(node: number, owner: bigint): void {
    this.#drop((lock) => lock.node === node && lock.owner === owner && !lock.flock);
  }

  /** The last close of an open file: all it took ends, OFD locks and flocks among them. */
  release(node: number, handle: number): void {
    this.#drop((lock) => lock.node === node && lock.handle === handle);
  }

  #drop(ends: (lock: Held) => boolean): void {
    this.#held = this.#held.filter((lock) => !ends(lock));
    this.#wake();
  }

  #conflict(node: number, request: LockRequest): Held | null {
    const found = this.#held.find(
      (lock) =>
        lock.node === node &&
        lock.flock === request.flock &&
        lock.owner !== request.owner &&
        (lock.type === 'write' || request.type === 'write') &&
        lock.start <= request.end &&
        request.start <= lock.end,
    );
    return found ?? null;
  }

  /** Puts the range in place of what the owner had there. */
  #apply(node: number, handle: number, { type, start, end, owner, flock, pid }: LockRequest): void {
    const rest: Held[] = [];
    for (const lock of this.#held) {
      const own = lock.node === node && lock.owner === owner && lock.flock === flock;
      if (!own || lock.end < start || end < lock.start) {
        rest.push(lock);
        continue;
      }
      if (lock.start < start) rest.push({ ...lock, end: start - 1 });
      if (end < lock.end) rest.push({ ...lock, start: end + 1 });
    }
    if (type !== 'unlock') rest.push({ node, handle, owner, flock, type, start, end, pid });
    this.#held = rest;
  }

  #wake(): void {
    for (const waiter of [...this.#waiters]) {
      if (this.#conflict(waiter.node, waiter.request)) continue;
      this.#waiters = this.#waiters.filter((other) => other !== waiter);
      this.#apply(waiter.node, waiter.handle, waiter.request);
      waiter.settle(null);
    }
  }
}
