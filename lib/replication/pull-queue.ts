import type { Clock } from '../cluster/clock.js';

/** Pulls of a disk under way, those that a write waits for not counted. */
const PULLS_PARALLEL = 4;
/** The same while guests have requests at this host. */
const PULLS_PARALLEL_BUSY = 1;

/** Bytes a second that recovery may bring to a disk, unless set; what writes wait for comes beside it. */
export const RECOVERY_BYTES_PER_SECOND = 100 * 1024 ** 2;

export interface PullQueueOptions {
  readonly clock: Clock;
  readonly bytesPerSecond: number;
  /** Whether guests have requests at this host now. */
  isBusy(): boolean;
}

interface Waiter {
  readonly rank: number;
  readonly grant: (granted: boolean) => void;
}

/** Lets the pulls of one disk begin: a few at a time, fewer while guests are at work, and so many bytes a second. */
export class PullQueue {
  readonly #options: PullQueueOptions;
  /** In the order of their turn. */
  readonly #waiting: Waiter[] = [];
  #running = 0;
  /** What was pulled so far is paid for at this time. */
  #paidAtMs = Number.NEGATIVE_INFINITY;
  #cancel: (() => void) | null = null;

  constructor(options: PullQueueOptions) {
    this.#options = options;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * Resolves when it is the caller's turn, which then calls `leave`; false where `signal` was aborted before. The lowest
   * rank comes first: groups are completed one after the other.
   */
  enter(rank: number, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return Promise.resolve(false);
    return new Promise((resolve) => {
      const abort = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        resolve(false);
      };
      const waiter: Waiter = {
        rank,
        grant: (granted) => {
          signal.removeEventListener('abort', abort);
          resolve(granted);
        },
      };
      signal.addEventListener('abort', abort, { once: true });
      const at = this.#waiting.findIndex((other) => other.rank > rank);
      this.#waiting.splice(at < 0 ? this.#waiting.length : at, 0, waiter);
      this.#next();
    });
  }

  /** A pull has ended that has brought so many bytes. */
  leave(bytes: number): void {
    this.#running--;
    const { clock, bytesPerSecond } = this.#options;
    this.#paidAtMs = Math.max(this.#paidAtMs, clock.elapsedMs()) + (bytes / bytesPerSecond) * 1000;
    this.#next();
  }

  close(): void {
    this.#cancel?.();
    for (const { grant } of this.#waiting.splice(0)) grant(false);
  }

  #next(): void {
    if (this.#cancel) return;
    const { clock, isBusy } = this.#options;
    while (this.#waiting.length > 0) {
      if (this.#running >= (isBusy() ? PULLS_PARALLEL_BUSY : PULLS_PARALLEL)) return;
      const waitMs = this.#paidAtMs - clock.elapsedMs();
      if (waitMs > 0) {
        this.#cancel = clock.after(waitMs, () => {
          this.#cancel = null;
          this.#next();
        });
        return;
      }
      this.#running++;
      this.#waiting.shift()!.grant(true);
    }
  }
}
