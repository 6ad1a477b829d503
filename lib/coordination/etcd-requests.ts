import type { CoordinationError } from './coordination.js';
import type { EtcdEndpoint, Lane } from './etcd-endpoint.js';
import { abortable, type EtcdEndpoints } from './etcd-endpoints.js';
import { closed, isCompacted, isLearner, toCoordinationError, unavailable } from './etcd-errors.js';
import { KV_RANGE, type Method } from './etcd-methods.js';

/** Part of the time a request may take after which its member is not asked first any longer. */
const SLOW_PART = 1 / 4;

/** A read that a member answers when it has carried out all that the majority had agreed on before. */
const CAUGHT_UP = KV_RANGE.serialize({ key: Buffer.from('/'), count_only: true });

/** Requests to whichever member answers, each of which ends in time. */
export class EtcdRequests {
  readonly #endpoints: EtcdEndpoints;
  readonly #timeoutMs: number;
  readonly #running = new Set<AbortController>();
  #closed = false;

  constructor(endpoints: EtcdEndpoints, timeoutMs: number) {
    this.#endpoints = endpoints;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Sends a request once: it is not sent again unless it is certain that the first was not carried out.
   *
   * Rejects with CoordinationError UNAVAILABLE, CLOSED, or what etcd refused for certain.
   */
  once<Request, Response>(method: Method<Request, Response>, request: Request): Promise<Response> {
    // Serialized now: what the request holds belongs to the caller, who may change it.
    const bytes = method.serialize(request);
    return this.within(async (signal) => {
      const tried = new Set<EtcdEndpoint>();
      for (;;) {
        const endpoint = await this.#endpoints.ready('requests', tried, signal);
        try {
          return await this.#send(endpoint, 'requests', method, bytes, signal);
        } catch (error) {
          if (!isLearner(error)) throw error;
          tried.add(endpoint);
        }
      }
    });
  }

  /** A read, which is asked of one member after another until one answers. Part of what runs `within`. */
  async read<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    lane: Lane,
    signal: AbortSignal,
  ): Promise<Response> {
    const bytes = method.serialize(request);
    const tried = new Set<EtcdEndpoint>();
    let isSlow = () => {};
    const slow = new Promise<true>((resolve) => {
      isSlow = () => resolve(true);
    });
    const first = this.#ask(method, bytes, lane, tried, signal, isSlow);
    if (!(await Promise.race([first.then(() => false), slow])) || this.#endpoints.count === 1) return first;
    return firstOf([first, this.#ask(method, bytes, lane, tried, signal)]);
  }

  /** Asks a member what it knows by itself, right after it has caught up with the majority. */
  agreed<Request, Response>(method: Method<Request, Response>, request: Request): Promise<Response> {
    const bytes = method.serialize(request);
    return this.within(async (signal) => {
      const tried = new Set<EtcdEndpoint>();
      for (;;) {
        const endpoint = await this.#endpoints.ready('requests', tried, signal);
        tried.add(endpoint);
        try {
          await this.#send(endpoint, 'requests', KV_RANGE, CAUGHT_UP, signal);
          return await this.#send(endpoint, 'requests', method, bytes, signal);
        } catch {
          // Another one is asked, until time is up.
          signal.throwIfAborted();
        }
      }
    });
  }

  /** Runs what may take as long as a request. Rejects as `once` does. */
  async within<Answer>(work: (signal: AbortSignal) => Promise<Answer>, timeoutMs = this.#timeoutMs): Promise<Answer> {
    if (this.#closed) throw closed();
    const controller = abortable();
    const { signal } = controller;
    const timer = setTimeout(() => controller.abort(unavailable(this.#endpoints.trouble)), timeoutMs);
    this.#running.add(controller);
    try {
      return await Promise.race([work(signal), rejection(signal)]);
    } catch (error) {
      throw toCoordinationError(error);
    } finally {
      clearTimeout(timer);
      this.#running.delete(controller);
      // Ends what is still asked of others.
      controller.abort(closed());
    }
  }

  /** Rejects all that waits with CLOSED. */
  close(): void {
    this.#closed = true;
    for (const controller of this.#running) controller.abort(closed());
  }

  async #ask<Request, Response>(
    method: Method<Request, Response>,
    bytes: Buffer,
    lane: Lane,
    tried: Set<EtcdEndpoint>,
    signal: AbortSignal,
    isSlow?: () => void,
  ): Promise<Response> {
    for (;;) {
      const endpoint = await this.#endpoints.ready(lane, tried, signal);
      tried.add(endpoint);
      try {
        return await this.#send(endpoint, lane, method, bytes, signal, isSlow);
      } catch (error) {
        signal.throwIfAborted();
        if (isCompacted(error) || toCoordinationError(error).code !== 'UNAVAILABLE') throw error;
      }
    }
  }

  async #send<Request, Response>(
    endpoint: EtcdEndpoint,
    lane: Lane,
    method: Method<Request, Response>,
    bytes: Buffer,
    signal: AbortSignal,
    isSlow?: () => void,
  ): Promise<Response> {
    const suspect = (why: string) => this.#endpoints.suspect(endpoint, why);
    const slow = setTimeout(() => {
      // Before another one is asked instead: the next request is not to begin here.
      suspect('no answer in time');
      isSlow?.();
    }, this.#timeoutMs * SLOW_PART);
    try {
      const deadline = Date.now() + this.#timeoutMs;
      const response = await endpoint.connection(lane).unary(method, bytes, deadline, signal);
      this.#endpoints.answered(endpoint);
      return response;
    } catch (error) {
      const trouble = toCoordinationError(error);
      if (!signal.aborted && trouble.code === 'UNAVAILABLE' && !isCompacted(error)) suspect(reasonOf(error, trouble));
      throw error;
    } finally {
      clearTimeout(slow);
    }
  }
}

function reasonOf(error: unknown, trouble: CoordinationError): string {
  return (error as { details?: string }).details ?? trouble.message;
}

function rejection(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason as Error);
    else signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}

/** The first answer; where none gives one, the first error. */
async function firstOf<Answer>(asked: Promise<Answer>[]): Promise<Answer> {
  try {
    return await Promise.any(asked);
  } catch (error) {
    throw (error as AggregateError).errors[0];
  }
}
