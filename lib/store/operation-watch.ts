import { OPERATION_SECONDS_MAX } from './constants.js';

/** More buckets than seconds are waited, so that a late operation is found before its bucket comes round again. */
const BUCKETS = 16;

/**
 * Notices operations that do not end. Time is counted in ticks, one a second while the process runs: a process that was
 * stopped, or a machine that slept, does not take its disks for hung.
 */
export class OperationWatch {
  readonly #running = new Array<number>(BUCKETS).fill(0);
  #tick = 0;

  /** Answers a ticket for `end`. */
  begin(): number {
    const bucket = this.#tick % BUCKETS;
    this.#running[bucket]!++;
    return bucket;
  }

  end(ticket: number): void {
    this.#running[ticket]!--;
  }

  get running(): number {
    return this.#running.reduce((sum, count) => sum + count, 0);
  }

  /** To be called each second. Answers whether an operation has been running for too long. */
  tick(): boolean {
    this.#tick++;
    for (let age = OPERATION_SECONDS_MAX; age < BUCKETS; age++) {
      if (this.#tick >= age && this.#running[(this.#tick - age) % BUCKETS]! > 0) return true;
    }
    return false;
  }
}
