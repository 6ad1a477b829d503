import type {
  KeyValue,
  Operation,
  Transaction,
  TransactionResult,
  WatchEvent,
} from '../../lib/coordination/coordination.js';
import { holds } from '../../lib/coordination/rules.js';

/** As in etcd, an empty store has revision 1 and the first change makes revision 2. */
const REVISION_EMPTY = 1;

/** What one revision changed. */
export interface Change {
  revision: number;
  events: WatchEvent[];
}

/** What the simulated store holds, with etcd's semantics: the truth that requests reach and answers come from. */
export class StoreState {
  readonly #values = new Map<string, KeyValue>();
  /** All keys in byte order; null when one came or went since it was made. */
  #sorted: string[] | null = [];
  #revision = REVISION_EMPTY;

  get revision(): number {
    return this.#revision;
  }

  /** What is found is the store's own: whoever gives it away gives a copy. */
  get(key: string): KeyValue | null {
    return this.#values.get(key) ?? null;
  }

  range(prefix: string): KeyValue[] {
    this.#sorted ??= sortKeys(this.#values.keys());
    return this.#sorted.filter((key) => key.startsWith(prefix)).map((key) => this.#values.get(key)!);
  }

  /** Carries a transaction out that the rules allow, whole. */
  apply(transaction: Transaction): { result: TransactionResult; change: Change | null } {
    const succeeded = (transaction.compare ?? []).every((compare) => holds(compare, this.get(compare.key)));
    const operations = (succeeded ? transaction.success : transaction.failure) ?? [];
    const events: WatchEvent[] = [];
    const responses = operations.map((operation) => this.#operate(operation, this.#revision + 1, events));
    if (events.length === 0) return { result: { succeeded, revision: this.#revision, responses }, change: null };
    const revision = ++this.#revision;
    return { result: { succeeded, revision, responses }, change: { revision, events } };
  }

  #operate(operation: Operation, revision: number, events: WatchEvent[]): KeyValue[] {
    if ('get' in operation) {
      const found = this.get(operation.get);
      return found === null ? [] : [found];
    }
    if ('range' in operation) return this.range(operation.range);
    if ('put' in operation) events.push(this.#put(operation.put, operation.value, revision));
    else if ('delete' in operation) {
      if (this.#values.has(operation.delete)) events.push(this.#remove(operation.delete, revision));
    } else {
      for (const { key } of this.range(operation.deletePrefix)) events.push(this.#remove(key, revision));
    }
    return [];
  }

  #put(key: string, value: Uint8Array, revision: number): WatchEvent {
    const old = this.#values.get(key);
    const keyValue: KeyValue = {
      key,
      value: new Uint8Array(value),
      createRevision: old?.createRevision ?? revision,
      modRevision: revision,
      version: (old?.version ?? 0) + 1,
    };
    this.#values.set(key, keyValue);
    if (old === undefined) this.#sorted = null;
    return { type: 'put', keyValue };
  }

  #remove(key: string, revision: number): WatchEvent {
    this.#values.delete(key);
    this.#sorted = null;
    const value = new Uint8Array(0);
    return { type: 'delete', keyValue: { key, value, createRevision: 0, modRevision: revision, version: 0 } };
  }
}

/** The order of texts themselves is another one, beyond the first 65,536 characters. */
function sortKeys(keys: Iterable<string>): string[] {
  return [...keys]
    .map((key) => ({ key, bytes: Buffer.from(key) }))
    .sort((left, right) => Buffer.compare(left.bytes, right.bytes))
    .map(({ key }) => key);
}
