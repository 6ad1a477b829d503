import {
  type Coordination,
  CoordinationError,
  type KeyValue,
  type Transaction,
  type TransactionResult,
  type Watch,
  type WatchEvent,
} from './coordination.js';

/** A store that can be kept from being read or changed any further, while what it has is taken elsewhere. */
export class FreezableCoordination implements Coordination {
  /** The store itself, which goes on. */
  readonly below: Coordination;
  readonly #running = new Set<Promise<unknown>>();
  #isFrozen = false;

  constructor(below: Coordination) {
    this.below = below;
  }

  /** From now on every request rejects with UNAVAILABLE. Resolves when those under way have ended. */
  async freeze(): Promise<void> {
    this.#isFrozen = true;
    await Promise.allSettled(this.#running);
  }

  /** Lets requests in again: nothing was taken elsewhere. */
  thaw(): void {
    this.#isFrozen = false;
  }

  get(key: string): Promise<KeyValue | null> {
    return this.#ask(() => this.below.get(key));
  }

  range(prefix: string): Promise<KeyValue[]> {
    return this.#ask(() => this.below.range(prefix));
  }

  revision(): Promise<number> {
    return this.#ask(() => this.below.revision());
  }

  transaction(transaction: Transaction): Promise<TransactionResult> {
    return this.#ask(() => this.below.transaction(transaction));
  }

  watch(prefix: string, listener: (events: WatchEvent[], revision: number) => void): Watch {
    return this.below.watch(prefix, listener);
  }

  close(): Promise<void> {
    return this.below.close();
  }

  async #ask<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
    if (this.#isFrozen) {
      throw new CoordinationError('UNAVAILABLE', 'the coordination store does not answer: it is being moved to etcd');
    }
    const asked = ask();
    this.#running.add(asked);
    try {
      return await asked;
    } finally {
      this.#running.delete(asked);
    }
  }
}
