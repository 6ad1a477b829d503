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
  readonly #underWay = new Set<Promise<unknown>>();
  #held: Promise<void> | null = null;

  constructor(below: FreezableCoordination) {
    this.below = below;
  }

  /** Resolves when nothing is under way, and nothing begins until what it answers is called. Not to be nested. */
  async hold(): Promise<() => void> {
    let release = () => {};
    this.#held = new Promise((resolve) => {
      release = () => {
        this.#held = null;
        resolve();
      };
    });
    await Promise.allSettled([...this.#underWay]);
    return release;
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
    if (this.#held) return this.#held.then(() => this.#ask(ask));
    const asked = ask();
    this.#underWay.add(asked);
    const settled = () => this.#underWay.delete(asked);
    asked.then(settled, settled);
    return asked;
  }
}
