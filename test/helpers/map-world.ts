import type { ClusterMap, MapGroup } from '../../lib/cluster/cluster-map.js';
import { EMPTY_MAP } from '../../lib/cluster/cluster-map.js';
import type { HostRecord } from '../../lib/cluster/host-record.js';
import { nextMap } from '../../lib/cluster/next-map.js';
import { NEXT_MAP_DEFAULTS, type NextMapOptions, type Observed, type Report } from '../../lib/cluster/observation.js';

type Mutable<Value> = { -readonly [Key in keyof Value]: Value[Key] };

export const TB = 1e12;
export const TTL = NEXT_MAP_DEFAULTS.ttlMs;

export function hostRecord(id: string, disks: number[], changes: Partial<HostRecord> = {}): HostRecord {
  return {
    id,
    name: id,
    zone: id,
    standing: 'in',
    disks: disks.map((number) => ({ number, weight: TB, standing: 'in', opens: 1 })),
    publicKey: '',
    addresses: [],
    banned: false,
    bannedDisks: [],
    ...changes,
  };
}

/** What a conductor sees of hosts, set by hand, and the maps that follow. Disk n of host `a` is 1, of `b` 2, and so on. */
export class MapWorld {
  map: ClusterMap = EMPTY_MAP;
  readonly records: HostRecord[] = [];
  readonly seen: Record<string, Mutable<Observed>> = {};
  readonly options: NextMapOptions;

  constructor(hosts: string, options: Partial<NextMapOptions> = {}) {
    this.options = { ...NEXT_MAP_DEFAULTS, pgs: 1, copies: [3], ...options };
    for (const id of hosts) this.add(id);
  }

  add(id: string, disks = [this.diskOf(id)], changes: Partial<HostRecord> = {}): void {
    this.records.push(hostRecord(id, disks, changes));
    this.seen[id] = {
      incarnation: 1,
      bootId: `${id}1`,
      adopted: 0,
      disks: Object.fromEntries(disks.map((number) => [number, { opens: 1, openMs: 0 }])),
      unchangedMs: 0,
      renewedMs: 0,
      downMs: 0,
      evicted: false,
      unreachable: [],
      keptOutMs: null,
    };
  }

  diskOf(id: string): number {
    return id.charCodeAt(0) - 96;
  }

  see(id: string, changes: Partial<Observed>): this {
    Object.assign(this.seen[id]!, changes);
    return this;
  }

  /** Its heartbeat has been unchanged for a TTL. */
  expire(id: string): this {
    return this.see(id, { unchangedMs: TTL, renewedMs: TTL });
  }

  /** Its worker was started again, under the same kernel or another. */
  restart(id: string, bootId = this.seen[id]!.bootId): this {
    const { incarnation } = this.seen[id]!;
    return this.see(id, { incarnation: incarnation + 1, bootId, unchangedMs: 0, renewedMs: 0, downMs: 0 });
  }

  reboot(id: string): this {
    return this.restart(id, `${id}${this.seen[id]!.incarnation + 1}`);
  }

  record(id: string, changes: Partial<HostRecord>): this {
    const index = this.records.findIndex((record) => record.id === id);
    this.records[index] = { ...this.records[index]!, ...changes };
    return this;
  }

  step(...reports: Report[]): this {
    this.map = nextMap(this.map, this.records, this.seen, reports, this.options);
    return this;
  }

  /** Every host adopts the map, every member that recovers reports it, again and again until nothing changes. */
  settle(): this {
    for (let round = 0; round < 200; round++) {
      const before = this.map;
      for (const id of Object.keys(this.seen)) if (this.map.hosts[id]?.up) this.seen[id]!.adopted = this.map.epoch;
      this.step(...this.finished());
      if (this.map === before) return this;
    }
    throw new Error('the map never comes to rest');
  }

  /** Reports of every member that joins, of its present stay. */
  finished(): Report[] {
    return Object.entries(this.map.tables).flatMap(([copies, groups]) => {
      return groups.flatMap((group, pg) => {
        return Object.entries(group.joined ?? {}).map(([disk, joined]): Report => {
          const { incarnation } = this.map.hosts[this.map.disks[Number(disk)]!.host]!;
          return { type: 'in-sync', copies: Number(copies), pg, disk: Number(disk), incarnation, joined };
        });
      });
    });
  }

  group(pg = 0, copies = this.options.copies[0]!): MapGroup {
    return this.map.tables[copies]![pg]!;
  }

  /** Members as letters, sorted: who is in sync in capitals. */
  get members(): string {
    const { acting, insync } = this.group();
    const letters = [...new Set([...acting, ...insync])]
      .sort((a, b) => a - b)
      .map((disk) => {
        const letter = String.fromCharCode(96 + disk);
        const shown = insync.includes(disk) ? letter.toUpperCase() : letter;
        return acting.includes(disk) ? shown : `(${shown})`;
      });
    return letters.join('');
  }
}
