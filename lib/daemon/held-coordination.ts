import type {
  Coordination,
  KeyValue,
  Transaction,
  TransactionResult,
  Watch,
  WatchEvent,
} from '../coordination/coordination.js';
import type { FreezableCoordination } from '../coordination/freezable-coordination.js';

/** A store that can be made to wait: who asks it anything then is answered when it is let go, and nobody is refused. */
export class HeldCoordination implements Coordination {
  /** The store itself, which does not wait. */
  readonly below: FreezableCoordination;
  #held: Promise<void> | null = null;

  constructor(below: FreezableCoordination) {
    this.below = below;
  }

  /**
   * From now on nothing begins until what it answers is called; what is under way goes on. Not to be nested.
   */
  hold(): () => void {
    let release = () => {};
    this.#held = new Promise((resolve) => {
      release = () => {
        this.#held = null;
        resolve();
      };
    });
    return () => release();
  }

  get(key: string): Promise<KeyValue | null> {
    return this.#ask(() => this.below.get(key));
  }

  range(prefix: string): Promise<KeyValue[]> {
    return this.#ask(() => this.below.range(prefix));
  }

  transaction(transaction: Transaction): Promise<TransactionResult> {
    return this.#ask(() => this.below.transaction(transaction));
  }

  revision(): Promise<number> {
    return this.#ask(() => this.below.revision());
  }

  watch(prefix: string, listener: (events: WatchEvent[], revision: number) => void): Watch {
    return this.below.watch(prefix, listener);
  }

  close(): Promise<void> {
    return this.below.close();
  }

  #ask<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
    return this.#held ? this.#held.then(() => this.#ask(ask)) : ask();
  }
}
