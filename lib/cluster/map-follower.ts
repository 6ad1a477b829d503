import type { Coordination, Watch } from '../coordination/coordination.js';
import { type Clock, pause } from './clock.js';
import { type ClusterMap, EMPTY_MAP } from './cluster-map.js';
import { decodeClusterMap, MAP_KEY } from './cluster-map-record.js';

/** Between two tries to read the map from a store that does not answer. */
const RETRY_MS = 200;

export interface MapFollowerOptions {
  coordination: Coordination;
  clock: Clock;
  /** Of the newest map that this host has adopted in its life; stored, and never goes down. */
  adoptedEpoch: number;
  /** Stores all that has to be stored before the host acts by the map, the epoch last. */
  prepare(map: ClusterMap, before: ClusterMap): Promise<void>;
  /** The map is adopted. */
  adopted(map: ClusterMap, revision: number): void;
  /** The stored map cannot be read (a newer release wrote it, or it is damaged), or could not be prepared for. */
  failed(error: unknown): void;
}

/**
 * Keeps this host's map as new as it knows of: reads it from the store, hears of changes, fetches one that a peer has
 * seen. Maps are adopted one after another, each when `prepare` has ended; older ones are never adopted.
 */
export class MapFollower {
  readonly #options: MapFollowerOptions;
  #map: ClusterMap = EMPTY_MAP;
  #revision = 0;
  /** Of the newest map that was offered and could be read: what is not newer need not be read. */
  #read = 0;
  #newest: { map: ClusterMap; revision: number } | null = null;
  #adopting: Promise<void> | null = null;
  #watch: Watch | null = null;
  #wanted = 0;
  #fetching = false;
  #closed = false;

  constructor(options: MapFollowerOptions) {
    this.#options = options;
  }

  /** The map that is adopted; of epoch 0 before the first. */
  get map(): ClusterMap {
    return this.#map;
  }

  start(): void {
    this.#watch = this.#options.coordination.watch(MAP_KEY, (events) => {
      for (const { type, keyValue } of events) {
        if (type === 'put' && keyValue.key === MAP_KEY) this.offer(keyValue.value, keyValue.modRevision);
      }
    });
    this.fetch(Math.max(1, this.#options.adoptedEpoch));
  }

  close(): void {
    this.#closed = true;
    this.#watch?.close();
  }

  /** Sees to it that a map of this epoch or a later one is adopted: somebody has seen it in the store. */
  fetch(epoch: number): void {
    if (epoch <= this.#map.epoch || epoch <= this.#wanted) return;
    this.#wanted = epoch;
    if (!this.#fetching) void this.#fetch();
  }

  /** Reads the map from the store now; resolves when it, or a later one, is adopted; rejects where it cannot be. */
  async refresh(): Promise<ClusterMap> {
    const found = await this.#options.coordination.get(MAP_KEY);
    if (found) this.offer(found.value, found.modRevision);
    while (this.#adopting) await this.#adopting;
    // Whoever asked must not go by an older one: a host that is up by the newest would be missed.
    if (found && this.#revision < found.modRevision) throw new Error('the newest map could not be adopted');
    return this.#map;
  }

  async #fetch(): Promise<void> {
    this.#fetching = true;
    while (!this.#closed && this.#map.epoch < this.#wanted) {
      // An unreachable store is asked again: until then requests wait.
      await this.refresh().catch(() => undefined);
      if (this.#map.epoch < this.#wanted) await pause(this.#options.clock, RETRY_MS);
    }
    this.#fetching = false;
  }

  /** A map that somebody read from the store, at that revision. */
  offer(value: Uint8Array, revision: number): void {
    if (revision <= this.#read) return;
    try {
      this.#take(decodeClusterMap(value), revision);
      this.#read = revision;
    } catch (error) {
      this.#options.failed(error);
    }
  }

  #take(map: ClusterMap, revision: number): void {
    if (map.epoch <= (this.#newest?.map.epoch ?? this.#map.epoch) || map.epoch < this.#options.adoptedEpoch) return;
    this.#newest = { map, revision };
    this.#begin();
  }

  #begin(): void {
    this.#adopting ??= this.#adopt().finally(() => {
      this.#adopting = null;
      // One that came when the last was adopted, and before this.
      if (this.#newest && this.#newest.map.epoch > this.#map.epoch && !this.#closed) this.#begin();
    });
  }

  async #adopt(): Promise<void> {
    while (this.#newest && this.#newest.map.epoch > this.#map.epoch && !this.#closed) {
      const { map, revision } = this.#newest;
      try {
        await this.#options.prepare(map, this.#map);
      } catch (error) {
        // Of what ends with the host, nothing has failed.
        if (this.#closed) return;
        // What was stored is stored; it is tried again, perhaps for a newer map.
        this.#options.failed(error);
        await pause(this.#options.clock, RETRY_MS);
        continue;
      }
      this.#map = map;
      this.#revision = revision;
      this.#options.adopted(map, revision);
    }
  }
}
