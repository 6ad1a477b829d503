import type { AliveRecord } from './alive-record.js';
import type { ClusterMap } from './cluster-map.js';
import type { Observed, ObservedDisk } from './observation.js';

/** More than so many new incarnations in a minute, and a host's disks are kept out. */
const INCARNATIONS_PER_MINUTE_MAX = 3;
const MINUTE_MS = 1000 * 60;
/** Kept out for a minute, then for twice as long each time, up to half an hour; an hour of peace forgives it all. */
const KEPT_OUT_FIRST_MS = MINUTE_MS;
const KEPT_OUT_MAX_MS = MINUTE_MS * 30;
const FORGIVEN_AFTER_MS = MINUTE_MS * 60;

/** What one look at the store showed, all at one revision. */
export interface Sighting {
  /** By host. */
  readonly alive: ReadonlyMap<string, { readonly record: AliveRecord; readonly modRevision: number }>;
  readonly evicted: ReadonlySet<string>;
  readonly map: ClusterMap;
}

/** The host that looks, and when its present incarnation began, or later: none of its heartbeats was stored before. */
export interface OwnIncarnation {
  readonly host: string;
  readonly incarnation: number;
  readonly sinceMs: number;
}

interface HostView {
  record: AliveRecord | null;
  /** Of `/alive`, 0 where there is none. */
  modRevision: number;
  firstSeenAtMs: number;
  /** A time before which the present value was not there; null where it was there from the start. */
  storedAfterMs: number | null;
  downSinceMs: number | null;
  evicted: boolean;
  /** When each disk was first seen open in the present incarnation. */
  openSinceMs: Map<number, number>;
  /** New incarnations of the last minute: when each was seen. */
  raises: { atMs: number; count: number }[];
  keptOut: { sinceMs: number; untilMs: number } | null;
  /** Of those that are not forgiven yet. */
  timesKeptOut: number;
  keptOutLastMs: number;
}

/**
 * What a conductor has itself seen of all hosts. It looks again and again: a value is unchanged from the moment its
 * first sight was answered, and renewed at the moment the look before was sent, so both durations err on the side that
 * harms nobody. A conductor that takes over begins a new one.
 */
export class Observer {
  readonly #self: OwnIncarnation | null;
  readonly #hosts = new Map<string, HostView>();
  #lookedAtMs: number | null = null;

  /** @param self Whose own heartbeat needs no second look to be seen renewed. */
  constructor(self: OwnIncarnation | null = null) {
    this.#self = self;
  }

  /** A look that was sent at `sentAtMs` and answered at `nowMs`. */
  saw(sentAtMs: number, nowMs: number, { alive, evicted, map }: Sighting): void {
    for (const id of new Set([...Object.keys(map.hosts), ...alive.keys()])) {
      const found = alive.get(id);
      const view = this.#hosts.get(id) ?? newView(nowMs);
      this.#hosts.set(id, view);
      if ((found?.modRevision ?? 0) !== view.modRevision) {
        noteIncarnation(view, found?.record ?? null, nowMs);
        view.modRevision = found?.modRevision ?? 0;
        view.record = found?.record ?? null;
        view.firstSeenAtMs = nowMs;
        view.storedAfterMs = this.#lookedAtMs ?? this.#ownSinceMs(id, view.record, map);
      }
      noteDisks(view, nowMs);
      view.evicted = evicted.has(id);
      const isDown = map.hosts[id]?.up === false;
      view.downSinceMs = isDown ? (view.downSinceMs ?? nowMs) : null;
      if (view.keptOut !== null && nowMs >= view.keptOut.untilMs) view.keptOut = null;
    }
    for (const id of this.#hosts.keys()) if (map.hosts[id] === undefined && !alive.has(id)) this.#hosts.delete(id);
    this.#lookedAtMs = sentAtMs;
  }

  /**
   * What names this host's own incarnation was stored after that had begun. Not where hosts start a cluster together: the
   * first map is to have all of them.
   */
  #ownSinceMs(id: string, record: AliveRecord | null, map: ClusterMap): number | null {
    if (this.#self?.host !== id || map.hosts[id] === undefined) return null;
    return this.#self.incarnation === record?.incarnation ? this.#self.sinceMs : null;
  }

  /** What it knows at `nowMs`, by host. */
  observed(nowMs: number): Record<string, Observed> {
    const observed: Record<string, Observed> = {};
    for (const [id, view] of this.#hosts) observed[id] = observedOf(view, nowMs);
    return observed;
  }

  /** Revision of a host's heartbeat as it was seen last; 0 where there is none. */
  revisionOf(host: string): number {
    return this.#hosts.get(host)?.modRevision ?? 0;
  }
}

function newView(nowMs: number): HostView {
  return {
    record: null,
    modRevision: 0,
    firstSeenAtMs: nowMs,
    storedAfterMs: null,
    downSinceMs: null,
    evicted: false,
    openSinceMs: new Map(),
    raises: [],
    keptOut: null,
    timesKeptOut: 0,
    keptOutLastMs: Number.NEGATIVE_INFINITY,
  };
}

function noteIncarnation(view: HostView, record: AliveRecord | null, nowMs: number): void {
  if (record === null || view.record === null || record.incarnation <= view.record.incarnation) return;
  view.openSinceMs.clear();
  const count = record.incarnation - view.record.incarnation;
  view.raises = [...view.raises.filter(({ atMs }) => nowMs - atMs < MINUTE_MS), { atMs: nowMs, count }];
  const total = view.raises.reduce((sum, raise) => sum + raise.count, 0);
  if (total <= INCARNATIONS_PER_MINUTE_MAX) return;
  if (nowMs - view.keptOutLastMs > FORGIVEN_AFTER_MS) view.timesKeptOut = 0;
  const forMs = Math.min(KEPT_OUT_MAX_MS, KEPT_OUT_FIRST_MS * 2 ** view.timesKeptOut);
  view.timesKeptOut++;
  view.keptOut = { sinceMs: view.keptOut?.sinceMs ?? nowMs, untilMs: nowMs + forMs };
  view.keptOutLastMs = view.keptOut.untilMs;
  view.raises = [];
}

function noteDisks(view: HostView, nowMs: number): void {
  const open = new Set(view.record?.disks.map(({ number }) => number));
  for (const disk of open) if (!view.openSinceMs.has(disk)) view.openSinceMs.set(disk, nowMs);
  for (const disk of view.openSinceMs.keys()) if (!open.has(disk)) view.openSinceMs.delete(disk);
}

function observedOf(view: HostView, nowMs: number): Observed {
  const disks: Record<number, ObservedDisk> = {};
  for (const { number, opens, room } of view.record?.disks ?? []) {
    disks[number] = { opens, room, openMs: nowMs - (view.openSinceMs.get(number) ?? nowMs) };
  }
  return {
    incarnation: view.record?.incarnation ?? 0,
    bootId: view.record?.bootId ?? '',
    adopted: view.record?.adopted ?? 0,
    disks,
    unchangedMs: nowMs - view.firstSeenAtMs,
    renewedMs: view.storedAfterMs === null ? null : nowMs - view.storedAfterMs,
    downMs: view.downSinceMs === null ? 0 : nowMs - view.downSinceMs,
    evicted: view.evicted,
    unreachable: view.record?.unreachable ?? [],
    keptOutMs: view.keptOut === null ? null : nowMs - view.keptOut.sinceMs,
  };
}
