import { setMaxListeners } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { EtcdEndpoint, type EtcdTls, type Lane } from './etcd-endpoint.js';
import { KV_RANGE } from './etcd-methods.js';

/** A member that is not connected by then is not waited for any longer before the next one is tried as well. */
const CONNECT_GRACE_MS = 250;
/** Before all are tried again when none could be connected. */
const RETRY_MS = 100;
/** Between two looks whether a member that did not answer answers again. */
const PROBE_INTERVAL_MS = 500;
const PROBE_TIMEOUT_MS = 2000;
/** On one signal, before Node warns of them. */
const LISTENERS_MAX = 100;
const CANNOT_BE_CONNECTED = 'cannot be connected';
/** A read that the member can only answer with the others' consent. */
const PROBE = KV_RANGE.serialize({ key: Buffer.from('/'), count_only: true });

/**
 * The members of etcd that can be asked, the own host's first, and which of them answer. One that left a request
 * without an answer comes last until it has answered again.
 */
export class EtcdEndpoints {
  readonly #tls: EtcdTls | undefined;
  readonly #probes = new Map<EtcdEndpoint, Promise<void>>();
  readonly #closing = abortable();
  #endpoints: EtcdEndpoint[] = [];

  /** Throws TypeError for a URL that is none. */
  constructor(urls: readonly string[], tls: EtcdTls | undefined) {
    this.#tls = tls;
    this.set(urls);
  }

  get count(): number {
    return this.#endpoints.length;
  }

  has(endpoint: EtcdEndpoint): boolean {
    return this.#endpoints.includes(endpoint);
  }

  /** From now on these, those before others that come first. Throws TypeError for a URL that is none. */
  set(urls: readonly string[]): void {
    if (urls.length === 0) throw new TypeError('there is no member of etcd to ask');
    const before = new Map(this.#endpoints.map((endpoint) => [endpoint.url, endpoint]));
    const now = [...new Set(urls)].map((url) => before.get(url) ?? new EtcdEndpoint(url, this.#tls));
    for (const endpoint of this.#endpoints) if (!now.includes(endpoint)) endpoint.close();
    this.#endpoints = [...now.filter(({ isLocal }) => isLocal), ...now.filter(({ isLocal }) => !isLocal)];
  }

  /** Those that answer, by preference; then the others, the one first that has not been asked for longest. */
  get inOrder(): EtcdEndpoint[] {
    return [...this.#endpoints].sort((a, b) => (a.suspectedAtMs ?? 0) - (b.suspectedAtMs ?? 0));
  }

  /** What is wrong with them, in words. */
  get trouble(): string {
    return this.#endpoints.map(({ url, trouble }) => `${url}: ${trouble ?? 'no answer in time'}`).join('; ');
  }

  /**
   * The best one that is connected and not among `tried`. When all were tried, it forgets that and goes on; it waits
   * until one is there, or rejects with the signal's reason.
   */
  async ready(lane: Lane, tried: Set<EtcdEndpoint>, signal: AbortSignal): Promise<EtcdEndpoint> {
    for (;;) {
      const candidates = this.inOrder.filter((endpoint) => !tried.has(endpoint));
      const found = await this.#connected(candidates, lane, signal);
      signal.throwIfAborted();
      if (found) return found;
      tried.clear();
      await sleep(RETRY_MS, signal);
    }
  }

  /** The member left a request without an answer, or lacks what it needs to give one. */
  suspect(endpoint: EtcdEndpoint, why: string): void {
    endpoint.suspectedAtMs = performance.now();
    endpoint.trouble = why;
    if (this.#probes.has(endpoint) || this.#closing.signal.aborted) return;
    const probe = this.#probe(endpoint).finally(() => this.#probes.delete(endpoint));
    this.#probes.set(endpoint, probe);
  }

  answered(endpoint: EtcdEndpoint): void {
    endpoint.suspectedAtMs = null;
    endpoint.trouble = null;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    for (const endpoint of this.#endpoints) endpoint.close();
    await Promise.all(this.#probes.values());
  }

  async #connected(candidates: EtcdEndpoint[], lane: Lane, signal: AbortSignal): Promise<EtcdEndpoint | null> {
    const waits: Promise<EtcdEndpoint>[] = [];
    for (const endpoint of candidates) {
      if (endpoint.connection(lane).isReady) return endpoint;
      waits.push(this.#connect(endpoint, lane));
      const found = await Promise.race([anyOf(waits), sleep(CONNECT_GRACE_MS, signal)]);
      if (found) return found;
      // So that the next request does not wait for it.
      this.suspect(endpoint, endpoint.trouble ?? CANNOT_BE_CONNECTED);
    }
    return anyOf(waits);
  }

  async #connect(endpoint: EtcdEndpoint, lane: Lane): Promise<EtcdEndpoint> {
    if (await endpoint.connection(lane).ready(Date.now() + PROBE_TIMEOUT_MS)) return endpoint;
    throw new Error(CANNOT_BE_CONNECTED);
  }

  /** Asks it until it answers. */
  async #probe(endpoint: EtcdEndpoint): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted && endpoint.suspectedAtMs !== null && this.has(endpoint)) {
      try {
        await pause(PROBE_INTERVAL_MS, undefined, { signal });
        await this.#look(endpoint);
        this.answered(endpoint);
      } catch {
        // It does not answer yet, which is what was to be found out; or everything is being closed.
      }
    }
  }

  /** Rejects when it does not answer. */
  async #look(endpoint: EtcdEndpoint): Promise<void> {
    const { signal } = this.#closing;
    const connection = endpoint.connection('requests');
    const deadline = Date.now() + PROBE_TIMEOUT_MS;
    if (!(await connection.ready(deadline))) throw new Error(CANNOT_BE_CONNECTED);
    const controller = new AbortController();
    const end = () => controller.abort(new Error(CANNOT_BE_CONNECTED));
    const timer = setTimeout(end, PROBE_TIMEOUT_MS);
    signal.addEventListener('abort', end, { once: true });
    try {
      await connection.unary(KV_RANGE, PROBE, deadline, controller.signal);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
    }
  }
}

/** One whose signal more may wait for than Node would find suspicious: each try to connect does for a moment. */
export function abortable(): AbortController {
  const controller = new AbortController();
  setMaxListeners(LISTENERS_MAX, controller.signal);
  return controller;
}

/** The first that resolves, or null when all have been rejected. */
async function anyOf(waits: Promise<EtcdEndpoint>[]): Promise<EtcdEndpoint | null> {
  try {
    return await Promise.any(waits);
  } catch {
    // None could be connected; why is with each of them.
    return null;
  }
}

/** Ends early when the signal is aborted. */
async function sleep(ms: number, signal: AbortSignal): Promise<null> {
  try {
    await pause(ms, undefined, { signal });
  } catch {
    // Whoever waits looks at the signal itself.
  }
  return null;
}
