import assert from 'node:assert/strict';
import type { Coordination, KeyValue, Watch } from '../coordination/coordination.js';
import { type ClusterMap, MapError } from './map.js';
import { decodeMap, encodeMap } from './map-record.js';

const MAP_KEY = '/map';
/** Each loss of a race means that somebody else won it: so many in a row are a defect. */
const CHANGE_ATTEMPTS_MAX = 1000;

type Listener = (map: ClusterMap) => void;

/** Holds the newest map that this host knows, and stores changes so that none is lost and every epoch is one map. */
export class MapKeeper {
  readonly #coordination: Coordination;
  readonly #listeners = new Set<Listener>();
  #watch: Watch | null = null;
  #current: ClusterMap | null = null;

  constructor(coordination: Coordination) {
    this.#coordination = coordination;
  }

  /** Reads the map, null before the first was created. Throws MapError WRONG_FORMAT as decodeMap does. */
  async open(): Promise<ClusterMap | null> {
    // Watched first, so that no change falls between the two.
    this.#watch ??= this.#coordination.watch(MAP_KEY, (events) => {
      for (const { type, keyValue } of events) if (type === 'put' && keyValue.key === MAP_KEY) this.#adopt(keyValue);
    });
    await this.#read();
    return this.#current;
  }

  /** The newest map known. Throws MapError ABSENT before there is one. */
  get current(): ClusterMap {
    if (this.#current === null) throw new MapError('ABSENT', 'the cluster has no map yet');
    return this.#current;
  }

  /** Stores the cluster's first map. Throws MapError EXISTS where there is one. */
  async create(map: ClusterMap): Promise<ClusterMap> {
    const created = await this.#store(map, 0);
    if (!created) throw new MapError('EXISTS', 'the cluster has a map already');
    return this.current;
  }

  /**
   * Stores what `step` makes of the newest map; `step` is called again when another change came first, and changes
   * nothing by answering the map it was given. Answers the map that is then stored. Throws what `step` throws, and
   * MapError ABSENT or CONTENDED.
   */
  async change(step: (map: ClusterMap) => ClusterMap): Promise<ClusterMap> {
    for (let attempt = 0; attempt < CHANGE_ATTEMPTS_MAX; attempt++) {
      const modRevision = await this.#read();
      const map = this.current;
      const next = step(map);
      if (next === map) return map;
      assert.equal(next.epoch, map.epoch + 1, 'a changed map has the next epoch');
      if (await this.#store(next, modRevision)) return next;
    }
    throw new MapError('CONTENDED', `the map changed ${CHANGE_ATTEMPTS_MAX} times while a change was tried`);
  }

  /** Calls `listener` with each map from now on, in order of epoch. Answers what ends it. */
  onChange(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  close(): void {
    this.#watch?.close();
    this.#listeners.clear();
  }

  async #read(): Promise<number> {
    const found = await this.#coordination.get(MAP_KEY);
    if (found !== null) this.#adopt(found);
    return found?.modRevision ?? 0;
  }

  async #store(map: ClusterMap, modRevision: number): Promise<boolean> {
    const result = await this.#coordination.transaction({
      compare: [{ key: MAP_KEY, modRevision }],
      success: [{ put: MAP_KEY, value: encodeMap(map) }],
    });
    if (result.succeeded) this.#become(map);
    return result.succeeded;
  }

  #adopt(keyValue: KeyValue): void {
    this.#become(decodeMap(keyValue.value));
  }

  /** The same map comes by more than one way: as the answer to a read, from the watch, and as what was stored. */
  #become(map: ClusterMap): void {
    if (this.#current !== null && map.epoch <= this.#current.epoch) return;
    this.#current = map;
    for (const listener of [...this.#listeners]) listener(map);
  }
}
