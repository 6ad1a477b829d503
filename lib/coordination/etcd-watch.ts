import { setTimeout as pause } from 'node:timers/promises';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import type { IWatchRequest, IWatchResponse } from 'etcd3';
import type { KeyValue, Watch, WatchEvent } from './coordination.js';
import type { EtcdEndpoint } from './etcd-endpoint.js';
import { abortable, type EtcdEndpoints } from './etcd-endpoints.js';
import type { EtcdKeys } from './etcd-keys.js';
import { WATCH } from './etcd-methods.js';

/** Of silence, before the member is asked whether it is there. */
const PING_MS = 1000;
/** Of silence, before another one is tried. */
const SILENCE_MS_MAX = 3000;
/** Between two tries to watch. */
const RETRY_MS_MIN = 50;
const RETRY_MS_MAX = 1000;
/** That a transaction's result waits for the listeners to be told of it. */
const TOLD_MS_MAX = 300;

export type WatchListener = (events: WatchEvent[], revision: number) => void;

export interface EtcdWatchOptions {
  endpoints: EtcdEndpoints;
  keys: EtcdKeys;
  prefix: string;
  /** The first revision it is to hear of. */
  from: number;
  listener: WatchListener;
  /** All that has the prefix, at one revision. Rejects as the store does. */
  list(prefix: string): Promise<{ revision: number; found: KeyValue[] }>;
}

/**
 * One watch, which goes on at the next member when one is lost. Where etcd has thrown away the history from there on,
 * it reads what there is and tells of what differs from what the listener can know: all that this client has read
 * under the prefix, or was told of. Such events have the revision of their last put, or that of the reading when they
 * are deletions.
 */
export class EtcdWatch implements Watch {
  readonly #options: EtcdWatchOptions;
  readonly #closing = abortable();
  /** Keys that the listener may know, with the newest revision at which they were seen. */
  readonly #known = new Map<string, number>();
  /** Of the next event; what comes with a lower one was told. */
  #next: number;
  /** The stream is there, as far as is known. */
  #isLive = false;
  /** Who waits until a revision was told. */
  #waiting: { revision: number; done: () => void }[] = [];
  /** Events of one revision, of which more may come. */
  #pending: WatchEvent[] = [];
  #pendingRevision = 0;
  /** Resolves when it has ended. */
  readonly ended: Promise<void>;

  constructor(options: EtcdWatchOptions) {
    this.#options = options;
    this.#next = options.from;
    this.ended = this.#run();
  }

  close(): void {
    this.#closing.abort();
  }

  get prefix(): string {
    return this.#options.prefix;
  }

  /** Resolves when the listener was told of a revision that has events for it; at once where that will take long. */
  told(revision: number): Promise<void> {
    if (!this.#isLive || revision < this.#next) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(done, TOLD_MS_MAX);
      this.#waiting.push({ revision, done });
    });
  }

  /** Something was read from the store, or put. */
  note(key: string, revision: number): void {
    if (!key.startsWith(this.#options.prefix) || revision <= (this.#known.get(key) ?? 0)) return;
    this.#known.set(key, revision);
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    const tried = new Set<EtcdEndpoint>();
    let retryMs = RETRY_MS_MIN;
    while (!signal.aborted) {
      const before = this.#next;
      try {
        const endpoint = await this.#options.endpoints.ready('bulk', tried, signal);
        const end = await this.#follow(endpoint);
        if (end === 'compacted') await this.#catchUp();
        else tried.add(endpoint);
      } catch {
        // It was closed, or the store does not answer: it is tried again.
      }
      retryMs = this.#next > before ? RETRY_MS_MIN : Math.min(2 * retryMs, RETRY_MS_MAX);
      await pause(retryMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Resolves when the stream has ended, whatever the reason. */
  #follow(endpoint: EtcdEndpoint): Promise<'lost' | 'compacted'> {
    const { endpoints, keys, prefix } = this.#options;
    const { signal } = this.#closing;
    const stream = endpoint.connection('bulk').duplex(WATCH);
    let heardAtMs = performance.now();
    let end: 'lost' | 'compacted' = 'lost';
    this.#pending = [];
    return new Promise((resolve) => {
      const cancel = () => stream.cancel();
      const pings = setInterval(() => {
        const silenceMs = performance.now() - heardAtMs;
        if (silenceMs > SILENCE_MS_MAX || !endpoints.has(endpoint)) cancel();
        else if (silenceMs >= PING_MS) stream.write({ progress_request: {} });
      }, PING_MS / 2);
      const finish = () => {
        clearInterval(pings);
        signal.removeEventListener('abort', cancel);
        this.#isLive = false;
        this.#release(Number.POSITIVE_INFINITY);
        resolve(end);
      };
      signal.addEventListener('abort', cancel, { once: true });
      // Why it failed does not matter: in any case the next member is tried.
      stream.on('error', finish);
      stream.on('end', finish);
      stream.on('data', (response: IWatchResponse) => {
        heardAtMs = performance.now();
        if (signal.aborted) return;
        if (response.created) this.#isLive = true;
        if (!response.canceled) return this.#take(response);
        if (Number(response.compact_revision) > 0) end = 'compacted';
        cancel();
      });
      this.#create(stream, keys.range(prefix));
    });
  }

  #create(stream: ClientDuplexStream<IWatchRequest, IWatchResponse>, range: { key: Buffer; range_end: Buffer }): void {
    // In fragments, or a response with many events would become too large a message.
    stream.write({ create_request: { ...range, start_revision: this.#next, fragment: true } as never });
  }

  #take(response: IWatchResponse & { fragment?: boolean }): void {
    for (const { type, kv } of response.events) {
      const keyValue = this.#options.keys.keyValue(kv);
      if (keyValue.modRevision < this.#next) continue;
      if (keyValue.modRevision !== this.#pendingRevision) this.#flush();
      this.#pendingRevision = keyValue.modRevision;
      this.#pending.push(
        String(type) === 'Delete' ? deletion(keyValue.key, keyValue.modRevision) : { type: 'put', keyValue },
      );
    }
    if (!response.fragment) this.#flush();
  }

  #flush(): void {
    const events = this.#pending;
    if (events.length === 0) return;
    this.#pending = [];
    this.#tell(events, this.#pendingRevision);
  }

  #tell(events: WatchEvent[], revision: number): void {
    this.#next = revision + 1;
    for (const { type, keyValue } of events) {
      if (type === 'put') this.note(keyValue.key, revision);
      else this.#known.delete(keyValue.key);
    }
    if (this.#closing.signal.aborted) return;
    try {
      this.#options.listener(events, revision);
    } catch (error) {
      // A listener that throws is a defect of its owner's: it must neither end the watch nor go unnoticed.
      queueMicrotask(() => {
        throw error;
      });
    }
    this.#release(revision);
  }

  #release(revision: number): void {
    const waiting = this.#waiting;
    this.#waiting = waiting.filter((one) => one.revision > revision);
    for (const one of waiting) if (one.revision <= revision) one.done();
  }

  async #catchUp(): Promise<void> {
    const { revision, found } = await this.#options.list(this.#options.prefix);
    const present = new Set(found.map(({ key }) => key));
    const changes = new Map<number, WatchEvent[]>();
    for (const keyValue of found) {
      if (keyValue.modRevision < this.#next) continue;
      const events = changes.get(keyValue.modRevision) ?? [];
      changes.set(keyValue.modRevision, [...events, { type: 'put', keyValue }]);
    }
    const gone = [...this.#known].filter(([key, seen]) => !present.has(key) && seen <= revision);
    const deletions = gone.map(([key]) => deletion(key, revision));
    if (deletions.length > 0) changes.set(revision, [...deletions, ...(changes.get(revision) ?? [])]);
    for (const [at, events] of [...changes].sort(([a], [b]) => a - b)) this.#tell(events, at);
    this.#next = Math.max(this.#next, revision + 1);
  }
}

function deletion(key: string, revision: number): WatchEvent {
  return {
    type: 'delete',
    keyValue: { key, value: new Uint8Array(0), createRevision: 0, modRevision: revision, version: 0 },
  };
}
