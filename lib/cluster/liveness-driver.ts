import type { Coordination, KeyValue } from '../coordination/coordination.js';
import type { AliveState } from './alive-record.js';
import type { Clock } from './clock.js';
import type { ClusterMap } from './cluster-map.js';
import type { HostLiveness, Renewal } from './liveness.js';

/**
 * Renewals that wait for the store at a time. One that waits for a TTL is given up, as it would renew nothing; with so
 * many waiting none is sent.
 */
const RENEWALS_WAITING_MAX = 8;

export interface LivenessDriverOptions {
  readonly coordination: Coordination;
  readonly clock: Clock;
  readonly liveness: HostLiveness;
  /** What the heartbeat says of the host now. */
  state(): AliveState;
  /** Stores the host's incarnation durably. */
  storeIncarnation(incarnation: number): Promise<void>;
  /** The map that a renewal read, so that it is adopted if it is newer. */
  sawMap(map: KeyValue): void;
  /** After each renewal that counts, and when the incarnation was raised: requests that wait are looked at again. */
  changed(): void;
  /** The store, or the host's own state, did not do what was asked. It is tried again. */
  failed(error: unknown): void;
  /** The host is being thrown out, and cannot renew until `/evict` is lifted. */
  evicted(): void;
}

/** Renews this host's heartbeat on a clock. */
export class LivenessDriver {
  readonly #options: LivenessDriverOptions;
  readonly #waiting = new Set<Renewal>();
  #raising = false;
  #cancel: (() => void) | null = null;
  #closed = false;

  constructor(options: LivenessDriverOptions) {
    this.#options = options;
  }

  start(): void {
    this.#tick();
  }

  /** Renews now, and not only when it is time. */
  renew(): void {
    if (!this.#closed) this.#renew();
  }

  /** Nothing that is under way has an effect afterwards. */
  close(): void {
    this.#closed = true;
    this.#cancel?.();
    this.#waiting.clear();
  }

  /** The host adopted a map that was read at that revision. */
  adopted(map: ClusterMap, revision: number): void {
    this.#options.liveness.adopt(map, revision);
    this.#options.changed();
    this.#raise();
  }

  #tick(): void {
    if (this.#closed) return;
    this.#cancel = this.#options.clock.after(this.#options.liveness.renewEveryMs, () => this.#tick());
    this.#raise();
    this.#renew();
  }

  #renew(): void {
    const { clock, coordination, liveness, state, failed } = this.#options;
    const nowMs = clock.elapsedMs();
    for (const renewal of this.#waiting) {
      if (nowMs - renewal.sentAtMs >= liveness.ttlMs) this.#waiting.delete(renewal);
    }
    if (this.#waiting.size >= RENEWALS_WAITING_MAX) return;
    const renewal = liveness.renew(nowMs, state());
    this.#waiting.add(renewal);
    coordination.transaction(renewal.transaction).then(
      (result) => {
        if (!this.#waiting.delete(renewal)) return;
        const { type, map } = liveness.answered(renewal, result);
        if (map !== null) this.#options.sawMap(map);
        if (type === 'evicted') this.#options.evicted();
        if (type === 'renewed') this.#options.changed();
      },
      (error: unknown) => {
        if (this.#waiting.delete(renewal)) failed(error);
      },
    );
  }

  #raise(): void {
    const { liveness, storeIncarnation, failed } = this.#options;
    const incarnation = liveness.raiseTo;
    if (incarnation === null || this.#raising || this.#closed) return;
    this.#raising = true;
    storeIncarnation(incarnation).then(
      () => {
        this.#raising = false;
        if (this.#closed) return;
        liveness.raised(incarnation);
        this.#options.changed();
        // Not at the next quarter of a TTL: everything on this host stalls until it is up again.
        this.#renew();
      },
      (error: unknown) => {
        this.#raising = false;
        if (!this.#closed) failed(error);
      },
    );
  }
}
