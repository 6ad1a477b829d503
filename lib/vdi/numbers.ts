import { isUnavailable } from '../cluster/patient-coordination.js';
import type { Coordination } from '../coordination/coordination.js';
import { VdiError } from './errors.js';
import { decodeRecord } from './records.js';

/** So many are taken from the store at a time; what is left of them when the process ends is never used. */
const BLOCK = 64;
const ATTEMPTS_MAX = 64;

/**
 * Hands out numbers that are never used again. They come from the store a block at a time, so that two images can be
 * made at the same time without one waiting for the other's transaction.
 */
export class Numbers {
  readonly #coordination: Coordination;
  readonly #key: string;
  readonly #first: number;
  #next = 0;
  #end = 0;
  #reserving: Promise<void> | null = null;

  /** `key` holds the next number that no block has; `first` is the first one ever. */
  constructor(coordination: Coordination, key: string, first: number) {
    this.#coordination = coordination;
    this.#key = key;
    this.#first = first;
  }

  async next(): Promise<number> {
    while (this.#next === this.#end) {
      this.#reserving ??= this.#reserve().finally(() => {
        this.#reserving = null;
      });
      await this.#reserving;
    }
    return this.#next++;
  }

  async #reserve(): Promise<void> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const found = await this.#coordination.get(this.#key);
      const next = found ? decodeRecord<number>(found.value) : this.#first;
      const reserved = await this.#coordination
        .transaction({
          compare: [{ key: this.#key, modRevision: found?.modRevision ?? 0 }],
          success: [{ put: this.#key, value: Buffer.from(String(next + BLOCK)) }],
        })
        .catch((error) => {
          // Numbers that may have been reserved are left out.
          if (isUnavailable(error)) return null;
          throw error;
        });
      if (!reserved?.succeeded) continue;
      this.#next = next;
      this.#end = next + BLOCK;
      return;
    }
    throw new VdiError('EAGAIN', `gave up after ${ATTEMPTS_MAX} attempts to reserve numbers`);
  }
}
