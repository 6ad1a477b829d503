import type { OpenDisk } from '../cluster/alive-record.js';
import type { Clock } from '../cluster/clock.js';
import { type ClusterMap, isUpWith } from '../cluster/cluster-map.js';
import { Conductor } from '../cluster/conductor.js';
import { ConductorDriver } from '../cluster/conductor-driver.js';
import { HostLiveness } from '../cluster/liveness.js';
import { LivenessDriver } from '../cluster/liveness-driver.js';
import { MapFollower } from '../cluster/map-follower.js';
import type { NextMapOptions, Report } from '../cluster/observation.js';
import type { Coordination } from '../coordination/coordination.js';
import type { LinkEvents, Links } from '../net/links.js';
import type { Disk } from '../store/index.js';
import { DiskRoom } from './disk-room.js';
import type { LayerRules } from './layer-rules.js';
import { LonePace } from './lone-pace.js';
import type { Message } from './messages.js';
import { ReplicaHost } from './replica-host.js';

/** What a host keeps in its state directory; durable when a promise resolves. */
export interface HostState {
  /** Stored, higher than any that the host ever had. */
  readonly incarnation: number;
  readonly adoptedEpoch: number;
  /** Disks that failed under an earlier worker, and about which the administrator has said nothing since: not opened. */
  readonly failedDisks: readonly number[];
  storeIncarnation(incarnation: number): Promise<void>;
  storeAdoptedEpoch(epoch: number): Promise<void>;
  storeFailedDisk(disk: number): Promise<void>;
}

export interface ClusterHostOptions {
  readonly host: string;
  readonly bootId: string;
  readonly clock: Clock;
  readonly coordination: Coordination;
  readonly state: HostState;
  readonly disks: readonly Disk[];
  /** Hosts stop answering so long before others may think that they did. */
  readonly marginMs: number;
  readonly map: NextMapOptions;
  pgOf(family: number, index: number): number;
  copiesOf(family: number): number;
  /** See ReplicaHostOptions. */
  readonly formerCopiesKeptMs?: number;
  readonly recoveryBytesPerSecond?: number;
  readonly layers: LayerRules;
  /**
   * Whether guests may still use handles that an earlier worker of this host had open, and have acknowledged writes that
   * nobody has flushed. Not where the file system was mounted anew.
   */
  readonly inheritsHandles: boolean;
  /** Whether there is no other host: nobody is waited for, and each step of the map follows the one before at once. */
  readonly isAlone?: boolean;
  onError(error: unknown): void;
  /** For the log: what the host or, through it, the cluster has done. */
  note(what: string): void;
  /** The host goes by this map now. */
  adopted?(map: ClusterMap): void;
}

/**
 * One host of a cluster while its worker runs: its heartbeat, the map that it goes by, its part in conducting, its disks
 * as members, its writers and readers.
 */
export class ClusterHost implements LinkEvents<Message> {
  readonly replica: ReplicaHost;
  readonly follower: MapFollower;
  readonly liveness: HostLiveness;
  readonly #options: ClusterHostOptions;
  readonly #links: Links<Message>;
  readonly #beat: LivenessDriver;
  readonly #conductor: Conductor;
  readonly #conducting: ConductorDriver;
  readonly #failedDisks: Set<number>;
  /** Those that the heartbeat names. */
  readonly #disks = new Map<Disk, DiskRoom>();
  /** Those that it does not name yet: the map has to show them absent first. */
  readonly #unseen = new Set<Disk>();
  #incarnation: number;
  #cancelReports = () => {};
  readonly #reached = new Set<string>();
  /** When the last session with a peer was lost, on this host's clock; with one that never was, none has been since the start. */
  readonly #lostAtMs = new Map<string, number>();
  readonly #startedAtMs: number;
  /** Null in a cluster of several hosts. */
  readonly #pace: LonePace | null;

  constructor(options: ClusterHostOptions, links: Links<Message>) {
    this.#options = options;
    this.#links = links;
    const { host, bootId, clock, coordination, state, disks, marginMs, map, pgOf, copiesOf, layers, onError } = options;
    const { ttlMs } = map;
    this.#startedAtMs = clock.elapsedMs();
    this.#failedDisks = new Set(state.failedDisks);
    for (const disk of disks) {
      if (disk.wasAway) this.#unseen.add(disk);
      else this.#tellOf(disk);
    }
    const { incarnation } = state;
    this.#incarnation = incarnation;
    this.liveness = new HostLiveness({ host, bootId, incarnation, ttlMs, marginMs });
    this.follower = new MapFollower({
      ...{ coordination, clock, adoptedEpoch: state.adoptedEpoch },
      prepare: async (next, before) => {
        await this.replica.prepare(next, before);
        await state.storeAdoptedEpoch(next.epoch);
      },
      adopted: (next, revision) => this.#adopted(next, revision),
      failed: onError,
    });
    this.replica = new ReplicaHost(
      {
        ...{ host, bootId, clock, coordination, links, pgOf, copiesOf, layers, groupCount: map.pgs, onError },
        adoptedAtStart: options.inheritsHandles ? state.adoptedEpoch : Number.POSITIVE_INFINITY,
        ...(options.formerCopiesKeptMs !== undefined && { formerCopiesKeptMs: options.formerCopiesKeptMs }),
        ...(options.recoveryBytesPerSecond !== undefined && { recoveryBytesPerSecond: options.recoveryBytesPerSecond }),
        incarnation: () => this.liveness.incarnation,
        mayAnswer: () => this.liveness.mayAnswer(clock.elapsedMs()),
        map: () => this.follower.map,
        refreshMap: () => this.follower.refresh(),
        fetchMap: (epoch) => this.follower.fetch(epoch),
        onDiskFailed: (disk, reason) => this.#diskFailed(disk, reason),
        onCompleted: () => this.#report(),
      },
      [...this.#disks.keys()],
    );
    this.#beat = new LivenessDriver({
      ...{ coordination, clock, liveness: this.liveness },
      state: () => ({
        adopted: this.follower.map.epoch,
        disks: [...this.#disks].filter(([{ failed }]) => failed === null).map((disk) => describe(...disk)),
        unreachable: this.#unreachable(),
      }),
      storeIncarnation: (next) => state.storeIncarnation(next),
      sawMap: (found) => this.follower.offer(found.value, found.modRevision),
      changed: () => this.#rightChanged(),
      failed: (error) => options.note(`the heartbeat was not stored: ${error}`),
      evicted: () => options.note('thrown out'),
    });
    const { isAlone = false } = options;
    this.#conductor = new Conductor({ host, incarnation, sinceMs: this.#startedAtMs, options: map, isAlone });
    this.#conducting = new ConductorDriver({
      ...{ coordination, clock, ttlMs, conductor: this.#conductor },
      failed: (error) => options.note(`conducting: ${error}`),
      decided: (reason) => options.note(`as conductor: ${reason}`),
      looked: () => this.#pace?.looked(),
    });
    const { liveness } = this;
    const pace = { host, clock, liveness, beat: this.#beat, conductor: this.#conductor, conducting: this.#conducting };
    this.#pace = isAlone ? new LonePace({ ...pace, map: () => this.follower.map }) : null;
  }

  /** The heartbeat names the disk from now on; writers elsewhere learn from it when there is no more room. */
  #tellOf(disk: Disk): void {
    const room = new DiskRoom();
    this.#disks.set(disk, room);
    disk.on('room', () => {
      const told = room.room;
      if (this.#disks.has(disk) && room.update(disk.space.report()) !== told) this.#beat.renew();
    });
  }

  /**
   * A disk that was opened late: it may be a member of groups, and hosts have been answered without it. It serves once the
   * map has shown it absent, and returns as one that rebooted.
   */
  addDisk(disk: Disk): void {
    this.#unseen.add(disk);
    this.#serveSeen(this.follower.map);
  }

  /**
   * Lets a disk go that no group names, as the administrator took it away: when it resolves, nothing uses it any more.
   */
  async removeDisk(number: number): Promise<void> {
    for (const disk of this.#unseen) if (disk.number === number) this.#unseen.delete(disk);
    for (const disk of this.#disks.keys()) if (disk.number === number) this.#disks.delete(disk);
    this.#failedDisks.delete(number);
    await this.replica.removeDisk(number);
  }

  /** Whether this host makes the maps. */
  get conducts(): boolean {
    return this.#conductor.isConductor;
  }

  /** What the map is made from has changed in the store: a host that is alone looks at once. */
  hurry(): void {
    this.#pace?.hurry();
  }

  start(): void {
    this.follower.start();
    this.#beat.start();
    this.#conducting.start();
    const repeat = () => {
      this.#report();
      this.#cancelReports = this.#options.clock.after(this.liveness.ttlMs / 2, repeat);
    };
    repeat();
  }

  /** Nothing that is under way has an effect on others afterwards. */
  close(): void {
    this.#cancelReports();
    this.#pace?.close();
    this.#conducting.close();
    this.#beat.close();
    this.follower.close();
    this.replica.close();
  }

  opened(host: string, session: number): void {
    this.#reached.add(host);
    this.replica.linkOpened(host, session);
  }

  /** What was asked goes again by the next session. */
  lost(host: string): void {
    this.#reached.delete(host);
    this.#lostAtMs.set(host, this.#options.clock.elapsedMs());
  }

  received(host: string, session: number, message: Message): void {
    if (message.type === 'report') this.#conducting.report(message.report);
    else this.replica.received(host, session, message);
  }

  #diskFailed(disk: number, reason: string): void {
    if (!this.#failedDisks.has(disk)) {
      const { note, state, onError } = this.#options;
      note(`disk ${disk} failed: ${reason}`);
      this.#failedDisks.add(disk);
      // A later worker could open it, and the conductor may hear of it from nobody else.
      state.storeFailedDisk(disk).catch(onError);
    }
    this.#report();
  }

  #serveSeen(map: ClusterMap): void {
    // Whether an earlier map has it absent says nothing of what this worker left out of its heartbeat.
    if (!isUpWith(map, this.#options.host, this.liveness.incarnation)) return;
    for (const disk of this.#unseen) {
      const known = map.disks[disk.number];
      if (known && !known.absent) continue;
      this.#unseen.delete(disk);
      void this.#serve(disk);
    }
  }

  /** Never rejects. */
  async #serve(disk: Disk): Promise<void> {
    try {
      await this.replica.addDisk(disk);
      await disk.seenAbsent();
    } catch (error) {
      // One that fails has said so itself.
      if (disk.failed === null) this.#options.onError(error);
      return;
    }
    this.#tellOf(disk);
    if (this.#pace) this.#beat.renew();
  }

  #adopted(map: ClusterMap, revision: number): void {
    this.#options.note(`adopts the map of epoch ${map.epoch}`);
    // Both are told before anything that waits is looked at again.
    this.liveness.adopt(map, revision);
    this.replica.mapAdopted(map);
    this.#beat.adopted(map, revision);
    this.#serveSeen(map);
    this.#report();
    this.#options.adopted?.(map);
    this.#pace?.adopted(map);
  }

  #rightChanged(): void {
    const { incarnation } = this.liveness;
    if (incarnation !== this.#incarnation) {
      this.#incarnation = incarnation;
      this.#conductor.raised(incarnation, this.#options.clock.elapsedMs());
      this.#pace?.incarnationChanged();
      this.replica.incarnationChanged();
      this.#options.note(`has incarnation ${incarnation}`);
    }
    this.replica.rightChanged();
    this.#pace?.hurry();
  }

  /** Hosts that are up and that no session was with for half a TTL. */
  #unreachable(): string[] {
    const { host, clock } = this.#options;
    const long = clock.elapsedMs() - this.liveness.ttlMs / 2;
    const { hosts } = this.follower.map;
    return Object.keys(hosts).filter((peer) => {
      if (peer === host || !hosts[peer]!.up || this.#reached.has(peer)) return false;
      return (this.#lostAtMs.get(peer) ?? this.#startedAtMs) <= long;
    });
  }

  /** Tells the conductor what the map does not show yet. */
  #report(): void {
    const { conductor } = this.#conductor;
    if (conductor === null) return;
    const { incarnation } = this.liveness;
    const map = this.follower.map;
    const reports: Report[] = [];
    for (const completed of this.replica.completed) {
      const group = map.tables[completed.copies]?.[completed.pg];
      if (group && !group.insync.includes(completed.disk)) reports.push({ type: 'in-sync', incarnation, ...completed });
    }
    for (const disk of this.#failedDisks) reports.push({ type: 'disk-failed', disk, incarnation });
    const { host } = this.#options;
    if (map.hosts[host]?.up === false) reports.push({ type: 'reaches', host, peers: [...this.#reached] });
    for (const report of reports) {
      if (conductor === this.#options.host) this.#conducting.report(report);
      else this.#links.send(conductor, { type: 'report', report });
    }
    if (reports.length > 0) this.#pace?.hurry();
  }
}

/** What the heartbeat says of a disk. */
function describe({ number, record, space }: Disk, room: DiskRoom): OpenDisk {
  const report = space.report();
  return { number, opens: record.opens, free: report.free, room: room.update(report) };
}
