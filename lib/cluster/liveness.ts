import type { KeyValue, Transaction, TransactionResult } from '../coordination/coordination.js';
import { type AliveRecord, type AliveState, aliveKey, evictKey } from './alive-record.js';
import { type ClusterMap, isUpWith } from './cluster-map.js';
import { MAP_KEY } from './cluster-map-record.js';
import { encodeAliveRecord } from './host-records.js';

/** Renewals in a TTL: one may be lost or late, and the host answers on. */
export const RENEWALS_PER_TTL = 4;

export interface LivenessOptions {
  readonly host: string;
  /** The kernel's. */
  readonly bootId: string;
  /** Stored already, higher than any that the host ever had. */
  readonly incarnation: number;
  readonly ttlMs: number;
  /** It stops so long before others may think that it did: more than two clocks differ in a TTL. */
  readonly marginMs: number;
}

/** One renewal that is under way. */
export interface Renewal {
  readonly sentAtMs: number;
  readonly incarnation: number;
  readonly transaction: Transaction;
}

export type RenewalOutcome =
  /** `map` is what the transaction read; null where there is none yet. */
  { readonly type: 'renewed' | 'evicted' | 'outdated'; readonly map: KeyValue | null };

/**
 * Whether this host may answer reads and writes. It may until TTL - margin after it sent the last heartbeat that was
 * stored, under a map at least as new as the one which that heartbeat's transaction saw, and only where the host is up
 * in it with its present incarnation. All times are its own clock's; nothing here waits or sends.
 */
export class HostLiveness {
  readonly #options: LivenessOptions;
  #incarnation: number;
  #counter = 0;
  #answersUntilMs = Number.NEGATIVE_INFINITY;
  /** Of `/map`, as the last renewal saw it. */
  #revisionSeen = 0;
  #map: ClusterMap | null = null;
  #revisionAdopted = 0;

  constructor(options: LivenessOptions) {
    this.#options = options;
    this.#incarnation = options.incarnation;
  }

  get incarnation(): number {
    return this.#incarnation;
  }

  /** Until when it may answer, if its map allows it: a caller that is at work looks again before it answers. */
  get answersUntilMs(): number {
    return this.#answersUntilMs;
  }

  get renewEveryMs(): number {
    return this.#options.ttlMs / RENEWALS_PER_TTL;
  }

  get ttlMs(): number {
    return this.#options.ttlMs;
  }

  mayAnswer(nowMs: number): boolean {
    if (nowMs >= this.#answersUntilMs || this.#map === null) return false;
    if (this.#revisionAdopted < this.#revisionSeen) return false;
    return isUpWith(this.#map, this.#options.host, this.#incarnation);
  }

  /**
   * The next heartbeat, to be sent now. It is stored only while nobody throws the host out, and reads the map with it:
   * a host that renews has seen every map that may count on others having taken its place.
   */
  renew(nowMs: number, state: AliveState): Renewal {
    const { host, bootId } = this.#options;
    const record: AliveRecord = { incarnation: this.#incarnation, bootId, counter: ++this.#counter, ...state };
    const transaction: Transaction = {
      compare: [{ key: evictKey(host), modRevision: 0 }],
      success: [{ put: aliveKey(host), value: encodeAliveRecord(record) }, { get: MAP_KEY }],
      failure: [{ get: evictKey(host) }, { get: MAP_KEY }],
    };
    return { sentAtMs: nowMs, incarnation: this.#incarnation, transaction };
  }

  /** A renewal was answered by the store; answers may come in any order. */
  answered(renewal: Renewal, { succeeded, responses }: TransactionResult): RenewalOutcome {
    const map = responses[1]?.[0] ?? null;
    this.#revisionSeen = Math.max(this.#revisionSeen, map?.modRevision ?? 0);
    if (!succeeded) return { type: 'evicted', map };
    // It spoke for an incarnation that is gone.
    if (renewal.incarnation !== this.#incarnation) return { type: 'outdated', map };
    const { ttlMs, marginMs } = this.#options;
    this.#answersUntilMs = Math.max(this.#answersUntilMs, renewal.sentAtMs + ttlMs - marginMs);
    return { type: 'renewed', map };
  }

  /** The host adopted a map, which was read at that revision of the store, or later. */
  adopt(map: ClusterMap, revision: number): void {
    this.#map = map;
    this.#revisionAdopted = Math.max(this.#revisionAdopted, revision);
  }

  /**
   * The incarnation that the host has to store, then to take: it read a map in which it is not up. One that is higher
   * than the map's already, and waits to come up, was never up: it serves, and raising it with each map that is read
   * meanwhile would outrun the conductor.
   */
  get raiseTo(): number | null {
    const found = this.#map?.hosts[this.#options.host];
    if (found === undefined || found.incarnation < this.#incarnation) return null;
    if (found.up && found.incarnation === this.#incarnation) return null;
    return found.incarnation + 1;
  }

  /** The incarnation is stored. Nothing that was renewed for the one before counts any more. */
  raised(incarnation: number): void {
    if (incarnation <= this.#incarnation) return;
    this.#incarnation = incarnation;
    this.#answersUntilMs = Number.NEGATIVE_INFINITY;
  }
}
