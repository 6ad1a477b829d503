import type { LockRange } from '../fuse/operations.js';
import { overlaps, subtract, touches } from './byte-range.js';

/**
 * The locks of one file: events in, decisions out, no I/O. Two kinds that do not meet: `posix` for byte ranges (POSIX
 * and OFD locks, which the kernel does not tell apart) and `flock` for the whole file, one an owner.
 *
 * An owner is who the kernel says it is, on one host. Locks are immutable, so that a copy of a table is cheap and a
 * decision that could not be stored is dropped with its copy. Waiters are not stored: they are requests that the
 * kernel still has, and it sends them again to the next worker.
 */

/** Locks of one file; at up to 300 bytes each, they stay below what can be stored as one value. */
export const LOCKS_MAX = 2048;
/** Requests of one file that wait on this host. */
export const LOCK_WAITERS_MAX = 1024;

export type LockKind = 'posix' | 'flock';

export interface LockOwner {
  host: string;
  /** The kernel's lock owner, 16 hexadecimal digits. */
  owner: string;
}

export interface FileLock extends LockRange, LockOwner {
  kind: LockKind;
  type: 'read' | 'write';
  pid: number;
  /** The open file by which it was taken, with whose release it ends. */
  handle: number;
}

export interface LockWish extends LockRange, LockOwner {
  kind: LockKind;
  type: 'read' | 'write' | 'unlock';
  pid: number;
  handle: number;
}

export type LockDecision =
  | { outcome: 'granted' }
  | { outcome: 'conflict'; lock: FileLock }
  | { outcome: 'waiting'; waiter: number }
  /** To wait would be to wait for oneself (EDEADLK). */
  | { outcome: 'deadlock' }
  /** LOCKS_MAX or LOCK_WAITERS_MAX (ENOLCK). */
  | { outcome: 'full' };

interface Waiter {
  id: number;
  wish: LockWish;
}

export class LockTable {
  #locks: readonly FileLock[];
  #waiters: readonly Waiter[] = [];
  #nextWaiter = 1;

  constructor(locks: readonly FileLock[] = []) {
    this.#locks = locks;
  }

  /** Every lock that is held: what is to be stored. The same array as long as nothing changes. */
  get locks(): readonly FileLock[] {
    return this.#locks;
  }

  get waiting(): number {
    return this.#waiters.length;
  }

  copy(): LockTable {
    const copy = new LockTable(this.#locks);
    copy.#waiters = this.#waiters;
    copy.#nextWaiter = this.#nextWaiter;
    return copy;
  }

  /** Takes the locks that are stored for those that are held, as another host changed them. */
  replace(locks: readonly FileLock[]): void {
    this.#locks = locks;
  }

  /** What those who wait wish for. */
  get wishes(): LockWish[] {
    return this.#waiters.map(({ wish }) => wish);
  }

  /** All locks that stand in the way of the wish. */
  conflicts(wish: LockWish): FileLock[] {
    return this.#locks.filter((lock) => conflicts(lock, wish));
  }

  /** The first lock that stands in the way of the wish. */
  test(wish: LockWish): FileLock | null {
    let first: FileLock | null = null;
    for (const lock of this.#locks) {
      if (conflicts(lock, wish) && (first === null || lock.start < first.start)) first = lock;
    }
    return first;
  }

  /**
   * Takes or gives back a lock. A range that its owner had locked already, in whole or in part, is changed; while it
   * waits to be, it stays as it was. Not so for flock, which as on Linux gives up the old lock before it tries for the
   * new one: two that hold it for reading and both want to write would else wait for each other for ever.
   */
  set(wish: LockWish, wait: boolean): LockDecision {
    if (wish.type === 'unlock') {
      const left = this.#without((lock) => isSame(lock, wish), wish);
      if (left.length > LOCKS_MAX && left.length > this.#locks.length) return { outcome: 'full' };
      this.#locks = left;
      return { outcome: 'granted' };
    }
    const owned = wish.kind === 'flock' ? this.#locks.find((lock) => isSame(lock, wish)) : undefined;
    if (owned?.type === wish.type) return { outcome: 'granted' };
    if (owned !== undefined) this.#locks = this.#locks.filter((lock) => lock !== owned);
    const conflict = this.test(wish);
    if (conflict === null && !(wait && this.#mustQueue(wish, this.#waiters))) return this.#grant(wish);
    if (!wait) return { outcome: 'conflict', lock: conflict! };
    if (this.#waiters.length >= LOCK_WAITERS_MAX) return { outcome: 'full' };
    if (wish.kind === 'posix' && this.#waitsForItself(wish)) return { outcome: 'deadlock' };
    const waiter = this.#nextWaiter++;
    this.#waiters = [...this.#waiters, { id: waiter, wish }];
    return { outcome: 'waiting', waiter };
  }

  /**
   * Grants what waiters can have by now, first come first served. Answers the waiters whose wait is over and how it
   * ended. To be called after every change.
   */
  wake(): { waiter: number; decision: LockDecision }[] {
    const woken: { waiter: number; decision: LockDecision }[] = [];
    const still: Waiter[] = [];
    for (const waiter of this.#waiters) {
      if (this.test(waiter.wish) !== null || this.#mustQueue(waiter.wish, still)) still.push(waiter);
      else woken.push({ waiter: waiter.id, decision: this.#grant(waiter.wish) });
    }
    if (woken.length > 0) this.#waiters = still;
    return woken;
  }

  /** Ends a wait. False if it had ended. */
  cancel(waiter: number): boolean {
    const left = this.#waiters.filter((other) => other.id !== waiter);
    const found = left.length < this.#waiters.length;
    this.#waiters = left;
    return found;
  }

  /** An open file is gone, and with it all locks that were taken by it. */
  releaseHandle(host: string, handle: number): void {
    this.#drop((lock) => lock.host === host && lock.handle === handle);
  }

  /** A process closed the file: its POSIX locks end, by whichever of its open files they were taken. */
  flushOwner({ host, owner }: LockOwner): void {
    this.#drop((lock) => lock.kind === 'posix' && lock.host === host && lock.owner === owner);
  }

  dropHost(host: string): void {
    this.#drop((lock) => lock.host === host);
  }

  #drop(doomed: (lock: FileLock) => boolean): void {
    if (this.#locks.some(doomed)) this.#locks = this.#locks.filter((lock) => !doomed(lock));
  }

  #grant(wish: LockWish): LockDecision {
    const { host, owner, kind, pid, handle } = wish;
    const lock: FileLock = {
      kind,
      type: wish.type as 'read' | 'write',
      start: wish.start,
      end: wish.end,
      owner,
      pid,
      handle,
      host,
    };
    const others: FileLock[] = [];
    for (const other of this.#without((held) => isSame(held, wish), wish)) {
      if (!isSame(other, wish) || other.type !== lock.type || other.handle !== handle || !touches(other, lock)) {
        others.push(other);
        continue;
      }
      lock.start = Math.min(lock.start, other.start);
      lock.end = Math.max(lock.end, other.end);
    }
    if (others.length >= LOCKS_MAX && others.length >= this.#locks.length) return { outcome: 'full' };
    this.#locks = [...others, lock];
    return { outcome: 'granted' };
  }

  /** All locks, those that are `cut` without the range; the same array if that changes none. */
  #without(cut: (lock: FileLock) => boolean, range: LockRange): readonly FileLock[] {
    if (!this.#locks.some((lock) => cut(lock) && overlaps(lock, range))) return this.#locks;
    return this.#locks.flatMap((lock) => (cut(lock) ? subtract(lock, range) : [lock]));
  }

  /**
   * Whether the wish would overtake one that waits for the same. An owner that holds a lock is let past: others may
   * wait for it, and if it also queued behind them, nobody would go on. So no wait in the queue is ever part of a
   * circle, and deadlocks are those of the locks that are held.
   */
  #mustQueue(wish: LockWish, before: readonly Waiter[]): boolean {
    if (this.#locks.some((lock) => isSame(lock, wish))) return false;
    return before.some((waiter) => conflicts(waiter.wish, wish));
  }

  /** Whether one that holds what the wish is for waits, by way of whatever others, for a lock that the wisher holds. */
  #waitsForItself(wish: LockWish): boolean {
    const seen = new Set<string>();
    const pending = [wish];
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      for (const lock of this.#locks) {
        if (!conflicts(lock, next)) continue;
        if (isSame(lock, wish)) return true;
        const holder = `${lock.host} ${lock.owner}`;
        if (seen.has(holder)) continue;
        seen.add(holder);
        for (const waiter of this.#waiters) if (isSame(waiter.wish, lock)) pending.push(waiter.wish);
      }
    }
    return false;
  }
}

/** Whether both are of one owner and kind. */
function isSame(one: LockWish, other: LockWish): boolean {
  return one.kind === other.kind && one.owner === other.owner && one.host === other.host;
}

function conflicts(one: LockWish, other: LockWish): boolean {
  if (one.kind !== other.kind || one.type === 'unlock' || other.type === 'unlock') return false;
  return (one.type === 'write' || other.type === 'write') && overlaps(one, other) && !isSame(one, other);
}
