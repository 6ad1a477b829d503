import type {
  Coordination,
  KeyValue,
  Transaction,
  TransactionResult,
  Watch,
  WatchEvent,
} from '../coordination/coordination.js';
import { type Clock, pause } from './clock.js';

/** Before a store that did not answer is asked again. */
const RETRY_MS = 200;

/** Whether the store did not answer: what was asked for may have been carried out, may still be, or may never be. */
export function isUnavailable(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === 'UNAVAILABLE';
}

/**
 * The store for those whose guests wait: what only reads is asked again until the store answers. A transaction is not,
 * as only its author can tell whether it was carried out.
 */
export class PatientCoordination implements Coordination {
  readonly #coordination: Coordination;
  readonly #clock: Clock;

  constructor(coordination: Coordination, clock: Clock) {
    this.#coordination = coordination;
    this.#clock = clock;
  }

  get(key: string): Promise<KeyValue | null> {
    return this.#patiently(() => this.#coordination.get(key));
  }

  range(prefix: string): Promise<KeyValue[]> {
    return this.#patiently(() => this.#coordination.range(prefix));
  }

  revision(): Promise<number> {
    return this.#patiently(() => this.#coordination.revision());
  }

  transaction(transaction: Transaction): Promise<TransactionResult> {
    const changes = [...(transaction.success ?? []), ...(transaction.failure ?? [])];
    const isReading = changes.every((operation) => 'get' in operation || 'range' in operation);
    if (isReading) return this.#patiently(() => this.#coordination.transaction(transaction));
    return this.#coordination.transaction(transaction);
  }

  watch(prefix: string, listener: (events: WatchEvent[], revision: number) => void): Watch {
    return this.#coordination.watch(prefix, listener);
  }

  close(): Promise<void> {
    return this.#coordination.close();
  }

  async #patiently<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
    for (;;) {
      try {
        return await ask();
      } catch (error) {
        if (!isUnavailable(error)) throw error;
        await pause(this.#clock, RETRY_MS);
      }
    }
  }
}
