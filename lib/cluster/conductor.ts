import type { Compare, KeyValue, Operation, Transaction, TransactionResult } from '../coordination/coordination.js';
import { ALIVE_PREFIX, aliveKey, EVICT_PREFIX, evictKey } from './alive-record.js';
import { type ClusterMap, EMPTY_MAP } from './cluster-map.js';
import { decodeClusterMap, encodeClusterMap, MAP_KEY } from './cluster-map-record.js';
import {
  CONDUCTOR_KEY,
  type ConductorRecord,
  decodeConductorRecord,
  encodeConductorRecord,
} from './conductor-record.js';
import { HOSTS_PREFIX, type HostRecord, hostKey } from './host-record.js';
import { decodeAliveRecord, decodeHostRecord, encodeHostRecord } from './host-records.js';
import { nextMap } from './next-map.js';
import type { NextMapOptions, Observed, ReachesReport, Report } from './observation.js';
import { Observer } from './observer.js';
import { ReportBox } from './report-box.js';
import { hostsToReadmit, hostToEvict, unreachablePairs } from './unreachable.js';

/** A look at everything, all of one revision: its answers by position. */
const LOOK: readonly Operation[] = [{ range: ALIVE_PREFIX }, { range: HOSTS_PREFIX }, { range: EVICT_PREFIX }];

/** So long a host that cannot conduct leaves the role to others: they take it after one TTL. */
const STANDS_DOWN_TTLS = 4;
/**
 * A host that starts over and over never sees itself do so: each incarnation that conducts begins to count anew. After
 * so many in a row that took the role at once, each sooner than a minute after the one before, others have it first.
 */
const TAKES_MAX = 3;
const STEADY_MS = 1000 * 60;

export interface ConductorOptions {
  readonly host: string;
  readonly incarnation: number;
  /** When that began, on this host's clock: before its first heartbeat. */
  readonly sinceMs: number;
  readonly options: NextMapOptions;
  /** Whether there is no other host that could conduct: then it never waits for one. */
  readonly isAlone?: boolean;
}

/** A transaction that the conductor wants carried out now, and what to tell it of the outcome. */
export interface Decision {
  readonly transaction: Transaction;
  /** What it does, for the log. */
  readonly reason: string;
  done(result: TransactionResult): void;
}

/** By host. */
type Sights = Readonly<Record<string, Observed>>;

interface Look {
  readonly map: ClusterMap;
  readonly mapRevision: number;
  readonly hosts: ReadonlyMap<string, { readonly record: HostRecord; readonly modRevision: number }>;
  readonly evicted: ReadonlySet<string>;
}

/**
 * Decides whether this host is the conductor, and as that, what the next map is and who is thrown out. It is asked for a
 * transaction that looks at the store, told what came of it, and asked what to do then. All times are its own clock's.
 */
export class Conductor {
  readonly #host: string;
  readonly #options: NextMapOptions;
  readonly #isAlone: boolean;
  readonly #reports: ReportBox;
  #incarnation: number;
  #sinceMs: number;
  #counter = 0;
  /** Of `/conductor`, as it was seen last, and when it was first seen so. Null before the first look. */
  #seen: { record: ConductorRecord | null; modRevision: number; sinceMs: number } | null = null;
  #isTaking = false;
  /** Of `/conductor`, and since when the role is held. */
  #takes = 0;
  #tookAtMs = 0;
  #standsDownUntilMs = Number.NEGATIVE_INFINITY;
  #observer: Observer | null = null;
  #known: { map: ClusterMap; revision: number } = { map: EMPTY_MAP, revision: 0 };
  #look: Look | null = null;

  constructor({ host, incarnation, sinceMs, options, isAlone = false }: ConductorOptions) {
    this.#host = host;
    this.#isAlone = isAlone;
    this.#incarnation = incarnation;
    this.#sinceMs = sinceMs;
    this.#options = options;
    this.#reports = new ReportBox(options.ttlMs);
  }

  get isConductor(): boolean {
    return this.#observer !== null;
  }

  /** Of the newest map that it has seen or stored. */
  get epoch(): number {
    return this.#known.map.epoch;
  }

  /** Whom to send reports to, as far as is known. */
  get conductor(): string | null {
    return this.#seen?.record?.host ?? null;
  }

  /** The host raised its incarnation, before its first heartbeat with it: the key is taken anew under it. */
  raised(incarnation: number, nowMs: number): void {
    if (incarnation <= this.#incarnation) return;
    this.#incarnation = incarnation;
    this.#sinceMs = nowMs;
  }

  /** Whether the next look should be made at once: this host may take the role. */
  mayTakeAt(nowMs: number): boolean {
    return !this.isConductor && this.#mayTake(nowMs);
  }

  /** Whether a heartbeat is of a host that waits to be up: all of its guests do. */
  isAwaited({ key, value }: KeyValue): boolean {
    if (!this.isConductor) return false;
    const known = this.#known.map.hosts[key.slice(ALIVE_PREFIX.length)];
    return decodeAliveRecord(value).incarnation > (known?.incarnation ?? 0);
  }

  /** A member's report. Dropped by whoever is not the conductor. */
  report(nowMs: number, report: Report): void {
    if (this.isConductor) this.#reports.add(nowMs, report);
  }

  /** Gives the role up, so that another host takes it: this one cannot read what the cluster stored. */
  standDown(nowMs: number): void {
    this.#resign();
    this.#standsDownUntilMs = nowMs + this.#options.ttlMs * STANDS_DOWN_TTLS;
  }

  /** The transaction to send now. As conductor it also renews the key. */
  look(nowMs: number): Transaction {
    this.#isTaking = !this.isConductor && this.#mayTake(nowMs);
    if (!this.isConductor && !this.#isTaking) return { success: [{ get: CONDUCTOR_KEY }] };
    if (this.#isTaking) {
      const seen = this.#seen!.record;
      this.#takes = seen?.host === this.#host ? seen.takes + 1 : 0;
      this.#tookAtMs = nowMs;
    } else if (nowMs - this.#tookAtMs >= STEADY_MS) this.#takes = 0;
    this.#counter++;
    const compare: Compare[] = [{ key: CONDUCTOR_KEY, modRevision: this.#seen!.modRevision }];
    const put: Operation = { put: CONDUCTOR_KEY, value: encodeConductorRecord(this.#record) };
    // The map is large: while it is known it is only compared.
    if (this.#known.revision > 0) compare.push({ key: MAP_KEY, modRevision: this.#known.revision });
    const map: Operation[] = this.#known.revision > 0 ? [] : [{ get: MAP_KEY }];
    return {
      compare,
      success: [put, ...LOOK, ...map],
      failure: [{ get: CONDUCTOR_KEY }, ...LOOK, { get: MAP_KEY }],
    };
  }

  get #record(): ConductorRecord {
    return { host: this.#host, incarnation: this.#incarnation, counter: this.#counter, takes: this.#takes };
  }

  /** A new incarnation of the host that the key names takes it at once, others after seeing it unchanged for a TTL. */
  #mayTake(nowMs: number): boolean {
    if (this.#seen === null || nowMs < this.#standsDownUntilMs) return false;
    const { record, sinceMs } = this.#seen;
    if (record === null) return true;
    const unchangedMs = nowMs - sinceMs;
    const { ttlMs } = this.#options;
    if (record.host !== this.#host) return unchangedMs >= ttlMs;
    if (this.#isAlone) return true;
    return record.incarnation <= this.#incarnation && (record.takes < TAKES_MAX || unchangedMs >= 2 * ttlMs);
  }

  /**
   * A look that was sent at `sentAtMs` was answered at `nowMs`. Throws RecordError for what a newer release stored:
   * then this host cannot conduct.
   */
  looked(sentAtMs: number, nowMs: number, { succeeded, revision, responses }: TransactionResult): void {
    this.#look = null;
    const wasActing = this.isConductor || this.#isTaking;
    const isRenewed = wasActing && succeeded;
    if (isRenewed) {
      this.#seen = { record: this.#record, modRevision: revision, sinceMs: nowMs };
    } else {
      this.#sawKey(responses[0]![0] ?? null, nowMs);
    }
    if (!this.#isMine() || !wasActing) {
      this.#resign();
      return;
    }
    this.#observe(sentAtMs, nowMs, responses);
  }

  #sawKey(found: KeyValue | null, nowMs: number): void {
    const modRevision = found?.modRevision ?? 0;
    if (this.#seen?.modRevision === modRevision) return;
    const record = found === null ? null : decodeConductorRecord(found.value);
    this.#seen = { record, modRevision, sinceMs: nowMs };
  }

  #isMine(): boolean {
    const record = this.#seen?.record;
    return record?.host === this.#host && record.incarnation === this.#incarnation;
  }

  #resign(): void {
    this.#observer = null;
    this.#look = null;
    this.#known = { map: EMPTY_MAP, revision: 0 };
    this.#reports.clear();
  }

  #observe(sentAtMs: number, nowMs: number, responses: readonly KeyValue[][]): void {
    const [, aliveFound, hostsFound, evictFound, mapFound] = responses;
    const map = mapFound?.[0];
    if (mapFound !== undefined && map?.modRevision !== this.#known.revision) {
      this.#known = map
        ? { map: decodeClusterMap(map.value), revision: map.modRevision }
        : { map: EMPTY_MAP, revision: 0 };
    }
    const alive = aliveFound!.map(({ key, value, modRevision }) => {
      return [key.slice(ALIVE_PREFIX.length), { record: decodeAliveRecord(value), modRevision }] as const;
    });
    const hosts = hostsFound!.map(({ key, value, modRevision }) => {
      return [key.slice(HOSTS_PREFIX.length), { record: decodeHostRecord(value), modRevision }] as const;
    });
    const evicted = new Set(evictFound!.map(({ key }) => key.slice(EVICT_PREFIX.length)));
    this.#look = { map: this.#known.map, mapRevision: this.#known.revision, hosts: new Map(hosts), evicted };
    this.#observer ??= new Observer({ host: this.#host, incarnation: this.#incarnation, sinceMs: this.#sinceMs });
    this.#observer.saw(sentAtMs, nowMs, { alive: new Map(alive), evicted, map: this.#look.map });
    if (evicted.has(this.#host) && this.#isReplaceable(nowMs)) this.standDown(nowMs);
  }

  /** Whether somebody else could conduct, whom others reach: what they report does not arrive here. */
  #isReplaceable(nowMs: number): boolean {
    const { map, evicted } = this.#look!;
    return Object.entries(this.#observer!.observed(nowMs)).some(([host, { renewedMs }]) => {
      if (host === this.#host || evicted.has(host) || renewedMs === null) return false;
      return map.hosts[host]?.up === true && renewedMs <= this.#options.ttlMs / 2;
    });
  }

  /** What to do about the last look; each decision is to be carried out before the next look, in order. */
  decide(nowMs: number): Decision[] {
    const look = this.#look;
    this.#look = null;
    if (look === null || this.#observer === null) return [];
    const reports = this.#reports.at(nowMs);
    const observed = this.#observer.observed(nowMs);
    const decisions = [
      this.#replaceMap(look, reports, observed),
      this.#evict(look, observed),
      this.#readmit(look, reports),
    ];
    return decisions.filter((decision) => decision !== null);
  }

  /**
   * Stores the next map, if nobody else stored one, if this is still the conductor, and if none of those it marks down
   * has renewed since: who renewed answers reads and writes.
   */
  #replaceMap(look: Look, reports: readonly Report[], observed: Sights): Decision | null {
    const observer = this.#observer!;
    const records = [...look.hosts.values()].map(({ record }) => record);
    const next = nextMap(look.map, records, observed, reports, this.#options);
    if (next === look.map) {
      this.#reports.settle(reports);
      return null;
    }
    const down = Object.keys(look.map.hosts).filter((id) => look.map.hosts[id]!.up && next.hosts[id]?.up !== true);
    const failed = recordsOfFailures(look, next);
    const compare: Compare[] = [
      { key: MAP_KEY, modRevision: look.mapRevision },
      this.#isStillConductor(),
      ...down.map((id) => ({ key: aliveKey(id), modRevision: observer.revisionOf(id) })),
      ...failed.map(({ record, modRevision }) => ({ key: hostKey(record.id), modRevision })),
    ];
    const success: Operation[] = [
      { put: MAP_KEY, value: encodeClusterMap(next) },
      ...failed.map(({ record }) => ({ put: hostKey(record.id), value: encodeHostRecord(record) })),
    ];
    return {
      transaction: { compare, success },
      reason: `replaces the map of epoch ${look.map.epoch}`,
      done: ({ succeeded, revision }) => {
        if (!succeeded) return;
        this.#known = { map: next, revision };
        this.#reports.settle(reports);
      },
    };
  }

  /**
   * Throws out a host that others cannot reach, and one that was given up by force and still renews. It is down when its
   * heartbeat was seen unchanged for a TTL, as any other.
   */
  #evict({ map, mapRevision, hosts, evicted }: Look, observed: Sights): Decision | null {
    const banned = [...hosts.values()].find(({ record }) => record.banned && !evicted.has(record.id))?.record.id;
    const unreachable = unreachablePairs(observed, this.#options.ttlMs);
    const host = banned ?? hostToEvict(map, unreachable, evicted);
    if (host === null) return null;
    const value = Buffer.from(JSON.stringify({ reason: banned === undefined ? 'unreachable' : 'banned' }));
    return {
      transaction: {
        // Under a map that was stored since it may be the only one in sync of some group.
        compare: [this.#isStillConductor(), { key: MAP_KEY, modRevision: mapRevision }],
        success: [{ put: evictKey(host), value }],
      },
      reason: `throws ${host} out`,
      done: () => undefined,
    };
  }

  #readmit({ map, hosts, evicted }: Look, reports: readonly Report[]): Decision | null {
    const reaches = reports.filter((report): report is ReachesReport => report.type === 'reaches');
    const host = hostsToReadmit(map, reaches, evicted).find((id) => hosts.get(id)?.record.banned === false);
    if (host === undefined) return null;
    return {
      transaction: { compare: [this.#isStillConductor()], success: [{ delete: evictKey(host) }] },
      reason: `lets ${host} return`,
      done: () => undefined,
    };
  }

  #isStillConductor(): Compare {
    return { key: CONDUCTOR_KEY, modRevision: this.#seen!.modRevision };
  }
}

/** Transactions have a bound: the records of more hosts than that are marked with the next map. */
const FAILED_HOSTS_MAX = 20;

/** A disk that failed is marked so in `/hosts` by the same transaction, so that no later conductor takes it back. */
function recordsOfFailures(look: Look, next: ClusterMap): { record: HostRecord; modRevision: number }[] {
  const changed = [...look.hosts.values()].flatMap(({ record, modRevision }) => {
    const isNew = (disk: number) => next.disks[disk]?.standing === 'failed';
    if (record.disks.every(({ number, standing }) => standing === 'failed' || !isNew(number))) return [];
    const disks = record.disks.map((disk) => (isNew(disk.number) ? { ...disk, standing: 'failed' as const } : disk));
    return [{ record: { ...record, disks }, modRevision }];
  });
  return changed.slice(0, FAILED_HOSTS_MAX);
}
