import {
  type Coordination,
  CoordinationError,
  type KeyValue,
  type Transaction,
  type TransactionResult,
  type Watch,
} from '../../lib/coordination/coordination.js';
import { checkKey, checkPrefix, checkTransaction } from '../../lib/coordination/rules.js';
import { copyMessage } from './message-copy.js';
import type { ProcessScope } from './process-scope.js';
import type { StoreState } from './store-state.js';
import type { WatchListener } from './store-watch.js';

/** The store did not answer in time. */
export class StoreUnavailable extends CoordinationError {
  constructor() {
    super('UNAVAILABLE', 'the coordination store does not answer');
  }
}

export class StoreCounters {
  requests = 0;
  /** Carried out, whether or not their clients ever knew. */
  applied = 0;
  /** Given up by their clients. */
  timeouts = 0;
  /** Of those given up: carried out all the same, before or after. */
  appliedUnknown = 0;
  changes = 0;
}

/** The store as one client reaches it. */
export interface StoreSide {
  readonly counters: StoreCounters;
  readonly state: StoreState;
  timeoutMs(): number;
  request<Answer>(carryOut: () => Answer, answered: (answer: Answer) => void): void;
  apply(transaction: Transaction): TransactionResult;
  /** Answers what closes it. */
  watch(prefix: string, listener: WatchListener): () => void;
}

/** The client of one process. What it asks for in the name of a killed process is not even sent. */
export class StoreClient implements Coordination {
  readonly #side: StoreSide;
  readonly #scope: ProcessScope;
  readonly #running = new Set<Promise<unknown>>();
  readonly #closes = new Set<() => void>();
  #closing: Promise<void> | null = null;

  constructor(side: StoreSide, scope: ProcessScope) {
    this.#side = side;
    this.#scope = scope;
  }

  async get(key: string): Promise<KeyValue | null> {
    checkKey(key);
    return this.#ask(() => this.#side.state.get(key));
  }

  async range(prefix: string): Promise<KeyValue[]> {
    checkPrefix(prefix);
    return this.#ask(() => this.#side.state.range(prefix));
  }

  async revision(): Promise<number> {
    return this.#ask(() => this.#side.state.revision);
  }

  async transaction(transaction: Transaction): Promise<TransactionResult> {
    checkTransaction(transaction);
    const sent = copyMessage(transaction);
    return this.#ask(() => this.#side.apply(sent));
  }

  watch(prefix: string, listener: WatchListener): Watch {
    checkPrefix(prefix);
    this.#checkOpen();
    if (!this.#scope.alive) return { close: () => {} };
    const close = this.#side.watch(prefix, listener);
    this.#closes.add(close);
    return {
      close: () => {
        close();
        this.#closes.delete(close);
      },
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.allSettled(this.#running);
    for (const close of this.#closes) close();
    this.#closes.clear();
  }

  /** Has `carryOut` run at the store, once or not at all. */
  async #ask<Answer>(carryOut: () => Answer): Promise<Answer> {
    this.#checkOpen();
    const running = this.#send(carryOut);
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }

  #send<Answer>(carryOut: () => Answer): Promise<Answer> {
    const { counters } = this.#side;
    // A promise that nobody settles: the process that would go on with it is dead.
    if (!this.#scope.alive) return new Promise(() => {});
    counters.requests++;
    return new Promise((resolve, reject) => {
      let applied = false;
      let gaveUp = false;
      const cancelTimeout = this.#scope.timer(this.#side.timeoutMs(), () => {
        gaveUp = true;
        counters.timeouts++;
        if (applied) counters.appliedUnknown++;
        reject(new StoreUnavailable());
      });
      const serve = () => {
        applied = true;
        counters.applied++;
        if (gaveUp) counters.appliedUnknown++;
        // As it is in this moment: what it holds may change before it arrives.
        return copyMessage(carryOut());
      };
      this.#side.request(serve, (answer) => {
        if (gaveUp) return;
        cancelTimeout();
        resolve(answer);
      });
    });
  }

  #checkOpen(): void {
    if (this.#closing !== null) throw new CoordinationError('CLOSED', 'the coordination store is closed');
  }
}
