import {
  type Coordination,
  CoordinationError,
  type KeyValue,
  type Transaction,
  type TransactionResult,
  type Watch,
} from './coordination.js';
import type { EtcdTls } from './etcd-endpoint.js';
import { EtcdEndpoints } from './etcd-endpoints.js';
import { closed, isCompacted } from './etcd-errors.js';
import { EtcdKeys } from './etcd-keys.js';
import { KV_RANGE, KV_TXN } from './etcd-methods.js';
import { EtcdRequests } from './etcd-requests.js';
import { EtcdWatch, type WatchListener } from './etcd-watch.js';
import { checkFormat, FORMAT } from './format.js';
import { checkKey, checkPrefix, checkTransaction } from './rules.js';

const TIMEOUT_MS = 2000;
/** Keys that are read in one message. */
const PAGE_KEYS = 500;

export interface EtcdOptions {
  /**
   * Members, in the order in which they are to be preferred: `https://host:port`, or the own host's
   * `unix:/path/of/socket`, which comes first wherever it stands. Plain `http://` for an etcd without TLS.
   */
  endpoints: readonly string[];
  /** For `https://`. Without it, the system's authorities are trusted and no certificate is shown. */
  tls?: EtcdTls;
  /** Milliseconds that a request may take, 2,000 unless set. */
  timeoutMs?: number;
  /** Stands before every key, so that an etcd can be shared. Nothing unless set. */
  namespace?: string;
}

export interface EtcdCoordination extends Coordination {
  /** Takes note of other members; as `endpoints` of the options. Throws TypeError for what is no address. */
  setEndpoints(endpoints: readonly string[]): void;
}

/**
 * Opens the store that an etcd of version 3.4 or later keeps. A new one is marked with the format of this release.
 *
 * No request takes longer than `timeoutMs`: one that has no answer by then rejects with CoordinationError UNAVAILABLE,
 * and so does one of which it cannot be known whether it was carried out. Transactions are never sent twice. Closing
 * rejects what waits with CLOSED. A watch hears of each revision after the newest that this client had seen when the
 * watch began, and of a transaction of this client's before that resolves, unless the watch has just lost its member.
 *
 * Throws TypeError for an address that is none, CoordinationError UNAVAILABLE (it can be tried again) and WRONG_FORMAT.
 */
export async function openEtcd(options: EtcdOptions): Promise<EtcdCoordination> {
  const store = new EtcdStore(options);
  try {
    await store.open();
  } catch (error) {
    await store.close();
    throw error;
  }
  return store;
}

class EtcdStore implements EtcdCoordination {
  readonly #endpoints: EtcdEndpoints;
  readonly #requests: EtcdRequests;
  readonly #keys: EtcdKeys;
  readonly #watches = new Set<EtcdWatch>();
  /** The newest revision seen. */
  #revision = 0;
  /** etcd's own name of itself, from the first answer. */
  #cluster: string | null = null;
  #closing: Promise<void> | null = null;

  constructor({ endpoints, tls, timeoutMs = TIMEOUT_MS, namespace = '' }: EtcdOptions) {
    this.#endpoints = new EtcdEndpoints(endpoints, tls);
    this.#requests = new EtcdRequests(this.#endpoints, timeoutMs);
    this.#keys = new EtcdKeys(namespace);
  }

  /** Marks a new store, and refuses one that another release wrote. */
  async open(): Promise<void> {
    const key = this.#keys.format;
    const all = this.#keys.range('');
    const response = await this.#requests.once(KV_TXN, {
      compare: [{ result: 'Equal', target: 'Version', key, version: 0 }],
      success: [{ request_range: { ...all, limit: 1 } }],
      failure: [{ request_range: { key } }],
    });
    this.#see(response.header);
    const [found] = response.responses[0]!.response_range.kvs;
    if (!response.succeeded) return checkFormat(found!.value.toString(), 'the coordination store in etcd');
    if (found) {
      throw new CoordinationError(
        'WRONG_FORMAT',
        'etcd holds keys, but none that says that they are a coordination store',
      );
    }
    await this.#requests.once(KV_TXN, {
      compare: [{ result: 'Equal', target: 'Version', key, version: 0 }],
      success: [{ request_put: { key, value: Buffer.from(String(FORMAT)) } }],
    });
    // Another host may have been first: what is there now is read.
    return this.open();
  }

  async get(key: string): Promise<KeyValue | null> {
    checkKey(key);
    const request = { key: this.#keys.encode(key) };
    const { header, kvs } = await this.#requests.within((signal) =>
      this.#requests.read(KV_RANGE, request, 'requests', signal),
    );
    this.#see(header);
    return this.#note(kvs.map((found) => this.#keys.keyValue(found)))[0] ?? null;
  }

  async range(prefix: string): Promise<KeyValue[]> {
    checkPrefix(prefix);
    return (await this.#list(prefix)).found;
  }

  async revision(): Promise<number> {
    const request = { key: this.#keys.format, count_only: true };
    const { header } = await this.#requests.within((signal) =>
      this.#requests.read(KV_RANGE, request, 'requests', signal),
    );
    return this.#see(header);
  }

  async transaction(transaction: Transaction): Promise<TransactionResult> {
    checkTransaction(transaction);
    const response = await this.#requests.once(KV_TXN, this.#keys.transaction(transaction));
    const { succeeded } = response;
    const revision = this.#see(response.header);
    const operations = (succeeded ? transaction.success : transaction.failure) ?? [];
    const changed = operations.flatMap((operation, i) => {
      if ('put' in operation) return [operation.put];
      const isGone = Number(response.responses[i]!.response_delete_range?.deleted ?? 0) > 0;
      return isGone && 'delete' in operation ? [operation.delete] : [];
    });
    for (const operation of operations) if ('put' in operation) this.#noteKey(operation.put, revision);
    await this.#told(changed, revision);
    const responses = response.responses.map(({ response_range }) =>
      this.#note((response_range?.kvs ?? []).map((found) => this.#keys.keyValue(found))),
    );
    return { succeeded, revision, responses };
  }

  watch(prefix: string, listener: WatchListener): Watch {
    checkPrefix(prefix);
    if (this.#closing !== null) throw closed();
    const watch = new EtcdWatch({
      endpoints: this.#endpoints,
      keys: this.#keys,
      prefix,
      from: this.#revision + 1,
      listener,
      list: (all) => this.#list(all),
    });
    this.#watches.add(watch);
    void watch.ended.then(() => this.#watches.delete(watch));
    return watch;
  }

  setEndpoints(endpoints: readonly string[]): void {
    this.#endpoints.set(endpoints);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#requests.close();
    for (const watch of this.#watches) watch.close();
    await this.#endpoints.close();
    await Promise.all([...this.#watches].map(({ ended }) => ended));
  }

  /** Page by page, all at the revision of the first. */
  #list(prefix: string): Promise<{ revision: number; found: KeyValue[] }> {
    return this.#requests.within(async (signal) => {
      for (;;) {
        try {
          return await this.#pages(prefix, signal);
        } catch (error) {
          // That revision is gone: from the beginning, at a new one.
          if (!isCompacted(error)) throw error;
        }
      }
    });
  }

  async #pages(prefix: string, signal: AbortSignal): Promise<{ revision: number; found: KeyValue[] }> {
    const { key, range_end } = this.#keys.range(prefix);
    const found: KeyValue[] = [];
    let revision = 0;
    for (let from = key; ; ) {
      const page = { key: from, range_end, limit: PAGE_KEYS, revision };
      const { header, kvs, more } = await this.#requests.read(KV_RANGE, page, 'bulk', signal);
      const seen = this.#see(header);
      if (revision === 0) revision = seen;
      for (const one of kvs) found.push(this.#keys.keyValue(one));
      if (!more) break;
      from = Buffer.concat([kvs.at(-1)!.key, Buffer.alloc(1)]);
    }
    this.#note(found);
    return { revision, found };
  }

  /** Whoever lists what it hears of sees its own changes, as with the local engine. */
  async #told(changed: string[], revision: number): Promise<void> {
    const watches = [...this.#watches].filter(({ prefix }) => changed.some((key) => key.startsWith(prefix)));
    if (watches.length > 0) await Promise.all(watches.map((watch) => watch.told(revision)));
  }

  #note(found: KeyValue[]): KeyValue[] {
    for (const { key, modRevision } of found) this.#noteKey(key, modRevision);
    return found;
  }

  #noteKey(key: string, revision: number): void {
    for (const watch of this.#watches) watch.note(key, revision);
  }

  /** Answers the header's revision. Throws CoordinationError UNAVAILABLE when another etcd answered. */
  #see(header: { revision: string; cluster_id: string }): number {
    this.#cluster ??= header.cluster_id;
    if (header.cluster_id !== this.#cluster) {
      throw new CoordinationError('UNAVAILABLE', 'another etcd answers at the address of the one that was opened');
    }
    const revision = Number(header.revision);
    this.#revision = Math.max(this.#revision, revision);
    return revision;
  }
}
