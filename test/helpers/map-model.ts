import { strict as assert } from 'node:assert';
import type { OpenDisk } from '../../lib/cluster/alive-record.js';
import { type ClusterMap, EMPTY_MAP, type MapGroup, mayServe } from '../../lib/cluster/cluster-map.js';
import { encodeClusterMap } from '../../lib/cluster/cluster-map-record.js';
import type { HostRecord } from '../../lib/cluster/host-record.js';
import { decodeAliveRecord } from '../../lib/cluster/host-records.js';
import { HostLiveness } from '../../lib/cluster/liveness.js';
import { nextMap } from '../../lib/cluster/next-map.js';
import { NEXT_MAP_DEFAULTS, type NextMapOptions, type Report } from '../../lib/cluster/observation.js';
import { Observer } from '../../lib/cluster/observer.js';
import { hostRecord } from './map-world.js';
import type { Random } from './random.js';

const TTL = 4000;
const TICK = TTL / 8;
const MARGIN = 500;
const MOVES_MAX = 3;

/** One disk's copy of one group. */
interface Copy {
  /** It misses older writes, or some that were acknowledged without it. */
  lacks: boolean;
  version: number;
  flushed: number;
}

interface Host {
  id: string;
  liveness: HostLiveness | null;
  incarnation: number;
  bootId: string;
  adopted: ClusterMap;
  pausedUntil: number;
  renewAt: number;
  open: Map<number, number>;
  /** Disks that it saw fail or vanish, noted durably: no worker opens one before the map shows that it was gone. */
  lost: Set<number>;
}

/**
 * A cluster in which writes, flushes and recovery are a number each, and hosts die, reboot, pause and adopt maps late.
 * Fault model: a worker that is killed keeps what it wrote, a reboot loses what was not flushed; disks fail and vanish;
 * conductors change, and store a map some time after they looked. Messages are instant and the store is always there.
 */
export class MapModel {
  readonly random: Random;
  readonly options: NextMapOptions;
  readonly hosts: Host[] = [];
  readonly records = new Map<string, HostRecord>();
  readonly trace: string[] = [];
  now = 0;
  revision = 1;
  map: ClusterMap = EMPTY_MAP;
  mapRevision = 0;
  maps: ClusterMap[] = [];
  acknowledged = 0;
  reads = 0;
  restarts = 0;
  readonly #alive = new Map<string, { value: Uint8Array; modRevision: number }>();
  readonly #copies = new Map<string, Copy>();
  readonly #truth: { version: number; flushed: number }[];
  #observer = new Observer();
  #delayed: { next: ClusterMap; down: [string, number][]; base: number } | null = null;
  #reports: Report[] = [];
  #lastReports: Report[] = [];

  constructor(random: Random, hosts: number, pgs: number) {
    this.random = random;
    this.options = { ...NEXT_MAP_DEFAULTS, ttlMs: TTL, outAfterMs: 60_000, pgs, copies: [3], movesMax: MOVES_MAX };
    this.#truth = Array.from({ length: pgs }, () => ({ version: 0, flushed: 0 }));
    for (let index = 0; index < hosts; index++) {
      const disks = index === 0 ? [1, 101] : [index + 1];
      const id = `h${index}`;
      this.records.set(id, hostRecord(id, disks));
      this.hosts.push({
        id,
        liveness: null,
        incarnation: 0,
        bootId: `${id}-0`,
        adopted: EMPTY_MAP,
        pausedUntil: 0,
        renewAt: 0,
        open: new Map(),
        lost: new Set(),
      });
    }
    for (const host of this.hosts) this.start(host);
  }

  /** A worker starts: it opens its disks, which raises their counters. */
  start(host: Host): void {
    if (host.liveness) return;
    host.incarnation++;
    host.liveness = new HostLiveness({
      host: host.id,
      bootId: host.bootId,
      incarnation: host.incarnation,
      ttlMs: TTL,
      marginMs: MARGIN,
    });
    host.open.clear();
    this.adopt(host, this.map);
    for (const { number } of this.records.get(host.id)!.disks) this.#open(host, number);
    host.renewAt = this.now;
  }

  #open(host: Host, number: number): void {
    const disk = host.adopted.disks[number];
    if (host.lost.has(number) && (disk === undefined || (disk.standing === 'in' && !disk.absent))) return;
    host.lost.delete(number);
    const record = this.records.get(host.id)!;
    const disks = record.disks.map((disk) => {
      return disk.number === number ? { ...disk, opens: disk.opens + 1, openedBy: host.incarnation } : disk;
    });
    this.records.set(host.id, { ...record, disks });
    host.open.set(number, disks.find((disk) => disk.number === number)!.opens);
  }

  kill(host: Host): void {
    host.liveness = null;
  }

  reboot(host: Host): void {
    host.liveness = null;
    host.bootId = `${host.id}-${this.now}`;
    for (const { number } of this.records.get(host.id)!.disks) this.loseUnflushed(number);
  }

  loseUnflushed(disk: number): void {
    for (let pg = 0; pg < this.options.pgs; pg++) {
      const copy = this.copy(pg, disk);
      copy.version = Math.min(copy.version, copy.flushed);
    }
  }

  vanish(host: Host, disk: number, isReported: boolean): void {
    if (!host.liveness || !host.open.has(disk)) return;
    host.open.delete(disk);
    host.lost.add(disk);
    this.loseUnflushed(disk);
    if (isReported) this.#reports.push({ type: 'disk-failed', disk, incarnation: host.incarnation });
  }

  /** The administrator's word: whatever failed may be used again. */
  restoreDisks(host: Host): void {
    const record = this.records.get(host.id)!;
    this.records.set(host.id, { ...record, disks: record.disks.map((disk) => ({ ...disk, standing: 'in' })) });
    if (!host.liveness) return;
    for (const { number } of record.disks) {
      if (!host.open.has(number)) this.#open(host, number);
    }
  }

  newConductor(): void {
    this.#observer = new Observer();
    this.#delayed = null;
  }

  /** Half a quarter of a TTL passes. */
  tick(): void {
    this.now += TICK;
    for (const host of this.hosts) this.#renew(host);
    if (this.random.chance(0.9)) this.#conduct();
    for (const host of this.hosts) if (this.random.chance(0.6)) this.adopt(host, this.map);
    for (let pg = 0; pg < this.options.pgs; pg++) {
      if (this.random.chance(0.5)) this.#write(pg);
      if (this.random.chance(0.15)) this.#flush(pg);
    }
    this.#recover();
    this.#read();
  }

  #isAwake(host: Host): boolean {
    return host.liveness !== null && host.pausedUntil <= this.now;
  }

  #renew(host: Host): void {
    if (!this.#isAwake(host) || host.renewAt > this.now) return;
    host.renewAt = this.now + TTL / 4;
    const disks = [...host.open].map(([number, opens]): OpenDisk => ({ number, opens, free: 0, room: 'ample' }));
    const renewal = host.liveness!.renew(this.now, { adopted: host.adopted.epoch, disks });
    const put = renewal.transaction.success![0] as { put: string; value: Uint8Array };
    this.#alive.set(host.id, { value: put.value, modRevision: ++this.revision });
    const map = { key: '/map', value: encodeClusterMap(this.map), modRevision: this.mapRevision };
    const found = this.mapRevision === 0 ? [] : [{ ...map, createRevision: 1, version: 1 }];
    host.liveness!.answered(renewal, { succeeded: true, revision: this.revision, responses: [[], found] });
  }

  adopt(host: Host, map: ClusterMap): void {
    if (!this.#isAwake(host) || map.epoch < host.adopted.epoch || map.epoch === 0) return;
    host.adopted = map;
    host.liveness!.adopt(map, map === this.map ? this.mapRevision : 0);
    const incarnation = host.liveness!.raiseTo;
    if (incarnation === null) return;
    host.incarnation = incarnation;
    host.liveness!.raised(incarnation);
  }

  #conduct(): void {
    if (this.#delayed) {
      const { next, down, base } = this.#delayed;
      this.#delayed = null;
      const isStill = down.every(([id, revision]) => this.#alive.get(id)?.modRevision === revision);
      if (base === this.map.epoch && isStill) this.#store(next);
      return;
    }
    const alive = new Map(
      [...this.#alive].map(([id, { value, modRevision }]) => [id, { record: decodeAliveRecord(value), modRevision }]),
    );
    this.#observer.saw(this.now, this.now, { alive, evicted: new Set(), map: this.map });
    const observed = this.#observer.observed(this.now);
    const reports = [...this.#reports, ...this.#lastReports];
    const next = nextMap(this.map, [...this.records.values()], observed, reports, this.options);
    if (next === this.map) {
      this.#reports = [];
      return;
    }
    const ids = Object.keys(this.map.hosts).filter((id) => this.map.hosts[id]!.up && !next.hosts[id]!.up);
    const down = ids.map((id): [string, number] => [id, this.#observer.revisionOf(id)]);
    if (this.random.chance(0.2)) this.#delayed = { next, down, base: this.map.epoch };
    else this.#store(next);
  }

  #store(next: ClusterMap): void {
    const before = this.map;
    assert.equal(next.epoch, before.epoch + 1);
    this.#reports = [];
    this.map = next;
    this.mapRevision = ++this.revision;
    this.maps = [...this.maps.slice(-5), next];
    for (const record of this.records.values()) {
      const disks = record.disks.map((disk) => {
        return next.disks[disk.number]?.standing === 'failed' ? { ...disk, standing: 'failed' as const } : disk;
      });
      this.records.set(record.id, { ...record, disks });
    }
    next.tables[3]?.forEach((group, pg) => {
      this.#checkStep(pg, before.tables[3]?.[pg], group);
    });
    this.#checkMoves(before, next);
  }

  copy(pg: number, disk: number): Copy {
    const key = `${pg} ${disk}`;
    let copy = this.#copies.get(key);
    if (!copy) {
      copy = { lacks: this.#truth[pg]!.version > 0, version: 0, flushed: 0 };
      this.#copies.set(key, copy);
    }
    return copy;
  }

  #checkStep(pg: number, before: MapGroup | undefined, group: MapGroup): void {
    const name = `epoch ${this.map.epoch} group ${pg}: ${JSON.stringify(before)} → ${JSON.stringify(group)}`;
    if (before !== group) this.trace.push(`${this.now}: ${name}`);
    assert.ok(group.insync.length > 0, `insync is empty: ${name}`);
    if (group.acting.length > 0) {
      assert.ok(
        group.insync.every((disk) => group.acting.includes(disk)),
        `a complete copy is not written to: ${name}`,
      );
    }
    for (const disk of group.acting) {
      const isKnown = group.insync.includes(disk) || group.leaving?.[disk] || group.joined?.[disk] !== undefined;
      assert.ok(isKnown, `disk ${disk} is neither in sync, nor joining, nor leaving: ${name}`);
      if (group.joined?.[disk] === this.map.epoch) this.copy(pg, disk).lacks = true;
    }
    if (before === undefined) return;
    const truth = this.#truth[pg]!;
    // One map may find a group standing still and restart it.
    if (group.acting.length > 0 && (before.acting.length === 0 || group.lossy === this.map.epoch)) {
      this.restarts++;
      assert.equal(group.insync.length, 1, `not exactly one restarted: ${name}`);
      const copy = this.copy(pg, group.insync[0]!);
      assert.ok(!copy.lacks, `an incomplete copy restarted: ${name}`);
      if (group.lossy === this.map.epoch) {
        assert.ok(copy.version >= truth.flushed, `flushed data is lost: ${name}`);
        truth.version = copy.version;
      }
      if (!this.#isKnownDead(group.insync[0]!)) {
        assert.equal(copy.version, truth.version, `acknowledged data is lost without lossy: ${name}`);
      }
      return;
    }
    for (const disk of group.insync.filter((member) => !before.insync.includes(member))) {
      if (!this.#isKnownDead(disk)) this.#checkComplete(pg, disk, name);
    }
  }

  /** Known to us and not to the conductor yet: the incarnation that the map has up is gone. It serves nobody. */
  #isKnownDead(disk: number): boolean {
    const host = this.#hostOf(this.map, disk);
    return host.liveness === null || host.incarnation !== this.map.hosts[host.id]!.incarnation || !host.open.has(disk);
  }

  #checkComplete(pg: number, disk: number, name: string): void {
    const copy = this.copy(pg, disk);
    const isComplete = !copy.lacks && copy.version === this.#truth[pg]!.version;
    assert.ok(isComplete, `disk ${disk} is not complete ${JSON.stringify([copy, this.#truth[pg]])}: ${name}`);
  }

  #checkMoves(before: ClusterMap, next: ClusterMap): void {
    const isMoving = (group: MapGroup | undefined) => {
      if (group?.joined === undefined) return false;
      // One that is written to in fewer zones without those that join is being repaired.
      const others = group.acting.filter((disk) => !group.leaving?.[disk] && group.joined?.[disk] === undefined);
      return new Set(others.map((disk) => next.disks[disk]!.host)).size >= 3;
    };
    const moving = next.tables[3]?.filter(isMoving).length ?? 0;
    const begun = next.tables[3]?.filter((group, pg) => {
      const earlier = before.tables[3]?.[pg];
      // One that is on its way already may be joined by a host that returns: that repairs, and moves nothing.
      const isBegun = earlier?.joined === undefined && !isMoving(earlier);
      return isMoving(group) && isBegun && (earlier?.acting.length ?? 0) > 0;
    }).length;
    if (moving > MOVES_MAX) assert.equal(begun, 0, 'more groups move than may');
  }

  #hostOf(map: ClusterMap, disk: number): Host {
    return this.hosts.find(({ id }) => id === map.disks[disk]!.host)!;
  }

  #answers(host: Host, disk: number): boolean {
    return (
      this.#isAwake(host) && host.liveness!.mayAnswer(this.now) && host.open.has(disk) && mayServe(host.adopted, disk)
    );
  }

  /** Some writer whose map may be old sends to all of acting; each answers under the same since only. */
  #reach(pg: number): readonly number[] | null {
    const map = this.maps[this.random.below(this.maps.length)];
    const group = map?.tables[3]?.[pg];
    if (!group || group.acting.length === 0) return null;
    for (const disk of group.acting) {
      const host = this.#hostOf(map!, disk);
      if (host.adopted.epoch < map!.epoch) this.adopt(host, map!);
      if (!this.#answers(host, disk)) return null;
      if (host.adopted.tables[3]![pg]!.since !== group.since) return null;
    }
    return group.acting;
  }

  #write(pg: number): void {
    const members = this.#reach(pg);
    if (members === null) return;
    const disks = Object.keys(this.map.disks).map(Number);
    const copies = disks.map((disk) => this.copy(pg, disk));
    const version = ++this.#truth[pg]!.version;
    this.acknowledged++;
    copies.forEach((copy, index) => {
      if (members.includes(disks[index]!)) copy.version = version;
      else copy.lacks = true;
    });
  }

  #flush(pg: number): void {
    const members = this.#reach(pg);
    if (members === null) return;
    for (const disk of members) this.copy(pg, disk).flushed = this.copy(pg, disk).version;
    this.#truth[pg]!.flushed = this.#truth[pg]!.version;
  }

  /** A member that joins recovers from one in sync, and says so; its reports of before are heard again and again. */
  #recover(): void {
    const made: Report[] = [];
    for (const host of this.hosts) {
      host.adopted.tables[3]?.forEach((group, pg) => {
        for (const [key, joined] of Object.entries(group.joined ?? {})) {
          const disk = Number(key);
          if (host.adopted.disks[disk]!.host !== host.id || !this.#answers(host, disk)) continue;
          if (this.map.tables[3]![pg]!.since !== group.since || this.random.chance(0.6)) continue;
          const source = group.insync.find((member) => {
            const other = this.#hostOf(host.adopted, member);
            if (other.adopted.epoch < host.adopted.epoch) this.adopt(other, host.adopted);
            return this.#answers(other, member) && other.adopted.tables[3]![pg]!.insync.includes(member);
          });
          if (source === undefined) continue;
          const copy = this.copy(pg, disk);
          const { version, lacks } = this.copy(pg, source);
          Object.assign(copy, { version, lacks, flushed: version });
          made.push({ type: 'in-sync', copies: 3, pg, disk, incarnation: host.incarnation, joined });
        }
      });
    }
    this.#lastReports = [...this.#lastReports.slice(-40), ...made];
  }

  /** Whoever may answer a read by its own map has everything that was acknowledged. */
  #read(): void {
    for (const host of this.hosts) {
      host.adopted.tables[3]?.forEach((group, pg) => {
        for (const disk of group.insync) {
          if (host.adopted.disks[disk]!.host !== host.id || !this.#answers(host, disk)) continue;
          if (group.acting.length === 0) continue;
          this.reads++;
          this.#checkComplete(
            pg,
            disk,
            `read of ${pg} at ${host.id}, ${this.now}, its map of epoch ${host.adopted.epoch}`,
          );
        }
      });
    }
  }

  get isHealthy(): boolean {
    const groups = this.map.tables[3];
    return groups?.every(({ acting, insync }) => acting.length === 3 && insync.length === 3) ?? false;
  }
}
