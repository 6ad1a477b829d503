import type { WatchEvent } from '../../lib/coordination/coordination.js';
import { copyMessage } from './message-copy.js';
import type { ProcessScope } from './process-scope.js';
import type { Change } from './store-state.js';

export type WatchListener = (events: WatchEvent[], revision: number) => void;

/** How far a watch is from the store, now. */
export interface WatchReach {
  reachable(): boolean;
  delayMs(): number;
  nowMs(): number;
}

/**
 * One watch of one process. What it is to hear waits while the store is out of its reach, and comes in order, none of it
 * left out. What waits is bounded by what the store changes in that time.
 */
export class StoreWatch {
  readonly #reach: WatchReach;
  readonly #scope: ProcessScope;
  readonly #prefix: string;
  readonly #listener: WatchListener;
  #waiting: Change[] = [];
  /** Nothing arrives before what came before it. */
  #lastMs = 0;
  #closed = false;

  constructor(reach: WatchReach, scope: ProcessScope, prefix: string, listener: WatchListener) {
    this.#reach = reach;
    this.#scope = scope;
    this.#prefix = prefix;
    this.#listener = listener;
  }

  add(change: Change): void {
    const events = change.events.filter(({ keyValue }) => keyValue.key.startsWith(this.#prefix));
    if (events.length === 0) return;
    this.#waiting.push({ revision: change.revision, events });
    this.pump();
  }

  /** Sends what waits on its way, where the store can be reached. */
  pump(): void {
    if (this.#closed || !this.#reach.reachable()) return;
    for (const { revision, events } of this.#waiting.splice(0)) {
      this.#lastMs = Math.max(this.#lastMs, this.#reach.nowMs() + this.#reach.delayMs());
      this.#scope.arrivalAt(this.#lastMs, () => {
        if (!this.#closed) this.#listener(copyMessage(events), revision);
      });
    }
  }

  close(): void {
    this.#closed = true;
    this.#waiting = [];
  }
}
