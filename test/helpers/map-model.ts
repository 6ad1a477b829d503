import { strict as assert } from 'node:assert';
import { EVICT_PREFIX, evictKey } from '../../lib/cluster/alive-record.js';
import { type ClusterMap, EMPTY_MAP, isDiskUp, type MapGroup, zonesOf } from '../../lib/cluster/cluster-map.js';
import { decodeClusterMap, MAP_KEY } from '../../lib/cluster/cluster-map-record.js';
import { type HostRecord, hostKey } from '../../lib/cluster/host-record.js';
import { decodeHostRecord } from '../../lib/cluster/host-records.js';
import { NEXT_MAP_DEFAULTS, type NextMapOptions, type Report } from '../../lib/cluster/observation.js';
import type { Transaction, TransactionResult } from '../../lib/coordination/coordination.js';
import { StoreState } from '../simulation/store-state.js';
import { type DiskImage, MapCopies } from './map-copies.js';
import { ModelHost, putRecord } from './map-host.js';
import { checkMap, type MapKnowledge } from './map-rules.js';
import type { Random } from './random.js';

export const TTL_MS = 4000;
export const TICK_MS = TTL_MS / 8;
const MOVES_MAX = 3;
/** Reports that are heard again and again. */
const REPORTS_KEPT = 40;
/** Maps that hosts may adopt late. */
const MAPS_KEPT = 6;

/**
 * A cluster in which writes, flushes and recovery are a number each, made of the real conductors, heartbeats and maps.
 *
 * Fault model: workers are killed (what they wrote stays), hosts reboot (what was not flushed is lost), pause, start over
 * and over, lose the store or links to others; disks fail, vanish and come back, as they were or as an old image;
 * conductors store a map some time after they looked; hosts adopt maps late; hosts and disks come, are drained, and go
 * for good, some by force. Messages are instant; a transaction is carried out and answered, or not sent.
 */
export class MapModel {
  readonly random: Random;
  readonly options: NextMapOptions;
  readonly copies: MapCopies;
  readonly trace: string[] = [];
  readonly store = new StoreState();
  hosts: ModelHost[] = [];
  /** By group, when a write to it was answered last. */
  readonly writtenAtMs: number[] = [];
  nowMs = 0;
  map: ClusterMap = EMPTY_MAP;
  reads = 0;
  restarts = 0;
  /** Hosts that were given up by force, and disks of which an old image took the place. */
  readonly banned = new Set<string>();
  readonly oldDisks = new Set<number>();
  /** What disks were like earlier. */
  readonly images = new Map<number, DiskImage>();
  readonly #revisions = new Map<number, number>();
  #maps: ClusterMap[] = [];
  readonly #cuts = new Map<string, number>();
  /** By pair of hosts, when they last reached one another. */
  readonly #reachedAtMs = new Map<string, number>();
  readonly #records = new Map<string, { revision: number; record: HostRecord }>();
  #lastReports: Report[] = [];
  #names = 0;
  #numbers = 0;

  constructor(random: Random, hosts: number, pgs: number) {
    this.random = random;
    this.options = { ...NEXT_MAP_DEFAULTS, ttlMs: TTL_MS, outAfterMs: 60_000, pgs, copies: [3], movesMax: MOVES_MAX };
    this.copies = new MapCopies(pgs);
    for (let count = 0; count < hosts; count++) this.addHost(count === 0 ? 2 : 1);
  }

  addHost(disks = 1): ModelHost {
    const id = `h${this.#names++}`;
    // Some are not alone in their zone.
    const zone = this.hosts.length > 3 && this.random.chance(0.3) ? this.hosts[0]!.zone : id;
    const numbers = Array.from({ length: disks }, () => ++this.#numbers);
    const host = new ModelHost(id, zone, numbers, this);
    this.hosts.push(host);
    host.start();
    this.note(`${id} comes with disks ${numbers}`);
    return host;
  }

  addDisk(host: ModelHost): void {
    host.opens.set(++this.#numbers, 0);
    host.openDisks();
  }

  note(what: string): void {
    this.trace.push(`${this.nowMs}: ${what}`);
  }

  // The store.

  apply(host: ModelHost | null, transaction: Transaction): TransactionResult {
    const before = this.store.get(MAP_KEY)?.modRevision;
    const { result } = this.store.apply(transaction);
    for (const operation of result.succeeded ? (transaction.success ?? []) : []) {
      if ('put' in operation && operation.put.startsWith(EVICT_PREFIX)) {
        this.#checkEvicted(operation.put.slice(EVICT_PREFIX.length));
      }
    }
    const found = this.store.get(MAP_KEY);
    if (found !== null && found.modRevision !== before) {
      this.#stored(host, decodeClusterMap(found.value), found.modRevision);
    }
    return result;
  }

  /** Never the only in-sync member of a group is thrown out. */
  #checkEvicted(id: string): void {
    if (this.record(id)!.banned || !this.map.hosts[id]?.up) return;
    for (const { acting, insync } of this.map.tables[3] ?? []) {
      const owners = insync.filter((disk) => isDiskUp(this.map, disk)).map((disk) => this.map.disks[disk]!.host);
      if (acting.length === 0 || !owners.includes(id)) continue;
      const isLeft = (owner: string) => owner !== id && !this.isEvicted(owner);
      assert.ok(owners.some(isLeft), `${id} is thrown out, which is the only one in sync of ${insync}`);
    }
  }

  record(id: string): HostRecord | null {
    const found = this.store.get(hostKey(id));
    if (found === null) return null;
    const known = this.#records.get(id);
    if (known?.revision === found.modRevision) return known.record;
    const record = decodeHostRecord(found.value);
    this.#records.set(id, { revision: found.modRevision, record });
    return record;
  }

  setRecord(record: HostRecord): void {
    this.apply(null, putRecord(record));
  }

  changeRecord(id: string, change: (record: HostRecord) => Partial<HostRecord>): void {
    const record = this.record(id);
    if (record !== null) this.setRecord({ ...record, ...change(record) });
  }

  revisionOf({ epoch }: ClusterMap): number {
    return this.#revisions.get(epoch) ?? 0;
  }

  get evicted(): string[] {
    return this.store.range(EVICT_PREFIX).map(({ key }) => key.slice(EVICT_PREFIX.length));
  }

  isEvicted(id: string): boolean {
    return this.store.get(evictKey(id)) !== null;
  }

  #stored(host: ModelHost | null, next: ClusterMap, revision: number): void {
    const before = this.map;
    this.map = next;
    this.#revisions.set(next.epoch, revision);
    this.#maps = [...this.#maps.slice(1 - MAPS_KEPT), next];
    this.#describe(before, next);
    this.restarts += checkMap(before, next, this.#knowledge(host)).restarts;
    for (const id of this.banned) assert.ok(!next.hosts[id]?.up, `${id} was given up and is up`);
  }

  #describe(before: ClusterMap, next: ClusterMap): void {
    const name = `epoch ${next.epoch}`;
    for (const what of ['hosts', 'disks'] as const) {
      for (const [id, now] of Object.entries(next[what])) {
        const [was, is] = [before[what][id as never], now].map((value) => JSON.stringify(value));
        if (was !== is) this.note(`${name} ${what} ${id}: ${is}`);
      }
    }
    next.tables[3]?.forEach((group, pg) => {
      const [was, is] = [before.tables[3]?.[pg], group].map((value) => JSON.stringify(value));
      if (was !== is) this.note(`${name} group ${pg}: ${was} → ${is}`);
    });
  }

  #knowledge(conductor: ModelHost | null): MapKnowledge {
    const { map, copies, oldDisks, banned } = this;
    const lookedAtMs = conductor?.lookedAtMs ?? this.nowMs;
    return {
      copies,
      movesMax: MOVES_MAX,
      isKnownDead: (disk) => {
        const host = this.hostOf(map, disk);
        return !host?.isRunning || host.incarnation !== map.hosts[host.id]!.incarnation || !host.open.has(disk);
      },
      hasRenewed: (disk) => {
        const host = this.hostOf(map, disk);
        const earliestMs = lookedAtMs - TTL_MS / 2;
        const isFresh = ({ atMs, bootId }: { atMs: number; bootId: string }) => {
          return atMs >= earliestMs && atMs <= lookedAtMs && bootId === map.hosts[host!.id]!.bootId;
        };
        return host?.renewals.some(isFresh) ?? false;
      },
      openMs: (disk) => this.nowMs - (this.hostOf(map, disk)?.open.get(disk) ?? this.nowMs),
      isBanned: (disk) => banned.has(map.disks[disk]!.host),
      isGone: (disk) => oldDisks.has(disk) || banned.has(map.disks[disk]!.host),
      mayShrink: (disk) => {
        const host = this.hostOf(map, disk);
        // A conductor knows who starts over and over, and says so in no map.
        return host === null || map.hosts[host.id]!.standing === 'out' || host.incarnation > 3;
      },
    };
  }

  hostOf(map: ClusterMap, disk: number): ModelHost | null {
    const id = map.disks[disk]?.host;
    return this.hosts.find((host) => host.id === id) ?? null;
  }

  // Links.

  cut(one: ModelHost, other: ModelHost, forMs: number): void {
    this.#cuts.set(pairOf(one, other), this.nowMs + forMs);
  }

  healLinks(): void {
    this.#cuts.clear();
  }

  isReached(one: ModelHost, other: ModelHost): boolean {
    if (!one.isAwake || !other.isAwake) return false;
    return one === other || (this.#cuts.get(pairOf(one, other)) ?? 0) <= this.nowMs;
  }

  reachedFrom(host: ModelHost): string[] {
    return this.hosts.filter((other) => this.isReached(host, other)).map(({ id }) => id);
  }

  /** Hosts that the map has up and that were not reached for half a TTL. */
  unreachableFrom(host: ModelHost): string[] {
    const late = this.nowMs - TTL_MS / 2;
    const missed = this.hosts.filter((other) => {
      if (other === host || !host.adopted.hosts[other.id]?.up) return false;
      return (this.#reachedAtMs.get(pairOf(host, other)) ?? this.nowMs) <= late;
    });
    return missed.map(({ id }) => id);
  }

  /** All are up who may be, and every group has all the copies it can have, where they are wanted. */
  get isHealthy(): boolean {
    const { map } = this;
    const hosts = this.hosts.filter(({ id }) => !this.banned.has(id));
    if (hosts.some((host) => map.hosts[host.id]?.up === false && this.record(host.id)?.standing === 'in')) return false;
    const usable = Object.keys(map.disks)
      .map(Number)
      .filter((disk) => this.#isWanted(disk));
    const full = Math.min(3, zonesOf(map, usable));
    const isWhole = ({ acting, insync }: MapGroup) => {
      return acting.length === full && insync.length === full && zonesOf(map, insync) === full;
    };
    return (
      map.tables[3]?.every((group) => isWhole(group) && group.insync.every((disk) => this.#isWanted(disk))) ?? false
    );
  }

  #isWanted(disk: number): boolean {
    const host = this.hostOf(this.map, disk);
    const record = host && this.record(host.id);
    if (!host || !record || record.banned || record.standing !== 'in') return false;
    return record.disks.some(({ number, standing }) => number === disk && standing === 'in');
  }

  // Time.

  /** Half a quarter of a TTL passes. */
  tick(): void {
    this.nowMs += TICK_MS;
    for (const [index, host] of this.hosts.entries()) {
      for (const other of this.hosts.slice(index + 1)) {
        const pair = pairOf(host, other);
        // A worker that has just started has its time to reach others.
        const isThere = this.isReached(host, other) || !host.isRunning || !other.isRunning;
        if (isThere || !this.#reachedAtMs.has(pair)) this.#reachedAtMs.set(pair, this.nowMs);
      }
    }
    for (const host of this.hosts) this.#flap(host);
    for (const host of this.hosts) host.renew();
    for (const host of this.hosts) if (this.random.chance(0.9)) host.conduct();
    for (const host of this.hosts) this.#adopt(host);
    for (let pg = 0; pg < this.options.pgs; pg++) {
      if (this.random.chance(0.5)) this.#write(pg);
      if (this.random.chance(0.15)) this.#flush(pg);
    }
    this.#report([...this.#recover(), ...this.hosts.flatMap((host) => (host.isAwake ? host.reports() : []))]);
    this.#read();
  }

  #flap(host: ModelHost): void {
    if (host.flaps === 0 || !this.random.chance(0.3)) return;
    host.flaps--;
    host.kill();
    host.start();
  }

  /** Most hear of a new map at once, and some of one after another. */
  #adopt(host: ModelHost): void {
    if (host.storeAwayUntilMs > this.nowMs || !this.random.chance(0.6)) return;
    const maps = this.#maps.filter(({ epoch }) => epoch > host.adopted.epoch);
    if (maps.length > 0) host.adopt(maps[this.random.chance(0.7) ? maps.length - 1 : this.random.below(maps.length)]!);
  }

  /** A writer, whose map may be old, sends to all of acting; each answers under the same since only. */
  #reach(pg: number): readonly number[] | null {
    const writer = this.hosts[this.random.below(this.hosts.length)]!;
    const map = writer.adopted;
    const group = map.tables[3]?.[pg];
    if (!writer.isAwake || !group || group.acting.length === 0) return null;
    for (const disk of group.acting) {
      const host = this.hostOf(map, disk);
      if (host === null || !this.isReached(writer, host)) return null;
      host.fetch(map.epoch);
      if (!host.answers(disk) || host.adopted.tables[3]![pg]!.since !== group.since) return null;
    }
    return group.acting;
  }

  #write(pg: number): void {
    const members = this.#reach(pg);
    if (members === null) return;
    this.copies.write(pg, members);
    this.writtenAtMs[pg] = this.nowMs;
  }

  #flush(pg: number): void {
    const members = this.#reach(pg);
    if (members !== null) this.copies.flush(pg, members);
  }

  /** A member that joins recovers from one in sync, and says so. */
  #recover(): Report[] {
    const made: Report[] = [];
    for (const host of this.hosts) {
      host.adopted.tables[3]?.forEach((group, pg) => {
        for (const [key, joined] of Object.entries(group.joined ?? {})) {
          const disk = Number(key);
          if (host.adopted.disks[disk]!.host !== host.id || !host.answers(disk)) continue;
          if (this.map.tables[3]![pg]!.since !== group.since || this.random.chance(0.6)) continue;
          const source = group.insync.find((member) => this.#isSource(host, member, pg));
          if (source === undefined) continue;
          this.copies.recover(pg, disk, source);
          made.push({ type: 'in-sync', copies: 3, pg, disk, incarnation: host.incarnation, joined });
        }
      });
    }
    return made;
  }

  #isSource(host: ModelHost, disk: number, pg: number): boolean {
    const other = this.hostOf(host.adopted, disk);
    if (other === null || !this.isReached(host, other)) return false;
    other.fetch(host.adopted.epoch);
    if (other.adopted.epoch < host.adopted.epoch) return false;
    return other.answers(disk) && (other.adopted.tables[3]![pg]!.insync ?? []).includes(disk);
  }

  /** Reports go to the conductor that each host knows of; old ones are heard again. */
  #report(reports: readonly Report[]): void {
    for (const report of [...this.#lastReports, ...reports]) {
      const sender = this.#senderOf(report);
      const conductor = this.hosts.find(({ id }) => id === sender?.conductor?.conductor);
      if (sender && conductor && this.isReached(sender, conductor)) conductor.conductor!.report(this.nowMs, report);
    }
    const completed = reports.filter(({ type }) => type === 'in-sync');
    this.#lastReports = [...this.#lastReports, ...completed].slice(-REPORTS_KEPT);
  }

  #senderOf(report: Report): ModelHost | null {
    if (report.type === 'reaches') return this.hosts.find(({ id }) => id === report.host) ?? null;
    return this.hostOf(this.map, report.disk);
  }

  /** Whoever may answer a read by its own map has everything that was acknowledged. */
  #read(): void {
    for (const host of this.hosts) {
      host.adopted.tables[3]?.forEach((group, pg) => {
        if (group.acting.length > 0) this.#readFrom(host, group, pg);
      });
    }
  }

  #readFrom(host: ModelHost, group: MapGroup, pg: number): void {
    for (const disk of group.insync) {
      if (host.adopted.disks[disk]!.host !== host.id || !host.answers(disk)) continue;
      this.reads++;
      const name = `read of ${pg} at ${host.id}, ${this.nowMs}, its map of epoch ${host.adopted.epoch}`;
      this.copies.checkComplete(pg, disk, name);
    }
  }
}

function pairOf(one: ModelHost, other: ModelHost): string {
  return one.id < other.id ? `${one.id} ${other.id}` : `${other.id} ${one.id}`;
}
