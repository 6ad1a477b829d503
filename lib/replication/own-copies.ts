import { type ClusterMap, isSource, type MapGroup } from '../cluster/cluster-map.js';
import type { ReplicaDisk } from './replica-disk.js';

/** The complete copy that a disk of this host has of a group, by the map that is adopted. */
export interface OwnCopy {
  readonly replica: ReplicaDisk;
  readonly since: number;
  /** Whether nobody else has one, or gets writes. */
  readonly isOnly: boolean;
}

/** Which groups a host can read, or write, on its own disks, looked up with every request of a guest. */
export class OwnCopies {
  readonly #disks: ReadonlyMap<number, ReplicaDisk>;
  #map: ClusterMap;
  readonly #tables = new Map<number, (OwnCopy | null)[]>();

  constructor(map: ClusterMap, disks: ReadonlyMap<number, ReplicaDisk>) {
    this.#map = map;
    this.#disks = disks;
  }

  mapAdopted(map: ClusterMap): void {
    this.#map = map;
    this.#tables.clear();
  }

  /** Null where the host has none that may be used. */
  find(copies: number, pg: number): OwnCopy | null {
    let table = this.#tables.get(copies);
    if (!table) {
      table = (this.#map.tables[copies] ?? []).map((group) => this.#copyOf(group));
      this.#tables.set(copies, table);
    }
    const own = table[pg] ?? null;
    return own === null || own.replica.disk.io.failure ? null : own;
  }

  #copyOf(group: MapGroup): OwnCopy | null {
    const { acting, insync, since } = group;
    for (const disk of insync) {
      const known = this.#map.disks[disk];
      const replica = this.#disks.get(disk);
      // A disk that failed or is absent answers nobody.
      if (!replica || !isSource(group, disk) || !known || known.standing === 'failed' || known.absent) continue;
      return { replica, since, isOnly: acting.length === 1 && insync.length === 1 };
    }
    return null;
  }
}
