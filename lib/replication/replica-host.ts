import { type Clock, pause } from '../cluster/clock.js';
import { type ClusterMap, EMPTY_MAP, isUpWith } from '../cluster/cluster-map.js';
import type { Coordination } from '../coordination/coordination.js';
import type { Links } from '../net/links.js';
import type { GroupLayout } from '../store/group-list.js';
import type { GroupName } from '../store/group-records.js';
import type { Disk } from '../store/index.js';
import { raiseModified } from '../store/raise-modified.js';
import { StoreError } from '../store/store-error.js';
import type { Asker } from './admission.js';
import { DiskWork } from './disk-work.js';
import { disksToBeDurable } from './durable-activity.js';
import { FormerCopies } from './former-copies.js';
import { IndexLocks } from './index-locks.js';
import { endInherited, hasLostSince } from './inherited-writers.js';
import { Inquiries } from './inquiries.js';
import type { LayerRules } from './layer-rules.js';
import { LayerWork } from './layer-work.js';
import { Member, type Outcome, type Ticket } from './member.js';
import type { ChangeRequest, LookRequest, Message, ReleaseRequest, Reply, ReportMessage } from './messages.js';
import type { GenerationStep, ImageObjects, ImageOptions, LayerDisk, Objects, Stepped } from './object-io.js';
import { OwnCopies } from './own-copies.js';
import { RECOVERY_BYTES_PER_SECOND } from './pull-queue.js';
import { type Completed, Recovery } from './recovery.js';
import type { RecoveryProgress } from './recovery-progress.js';
import type { ReplicaDisk } from './replica-disk.js';
import { ReplicatedImage } from './replicated-image.js';
import { step } from './step.js';
import { decodeWriter, writerKey } from './writer-record.js';

type ObjectMessage = Exclude<Message, ReportMessage>;

/** Requests between parts of one process need no session. */
const OWN_SESSION = 0;
/** Before a read that nobody answered is tried by the next map, or the store is asked again. */
const RETRY_MS = 200;
/** How long a disk keeps what it has of a group that does not need it any more, unless its space runs short. */
const FORMER_COPIES_KEPT_MS = 1000 * 60 * 10; // 10 min

export interface ReplicaHostOptions {
  host: string;
  bootId: string;
  clock: Clock;
  coordination: Coordination;
  links: Links<Message>;
  /** The placement group of an index, and the redundancy of a family. */
  pgOf(family: number, index: number): number;
  copiesOf(family: number): number;
  groupCount: number;
  /** Unless told otherwise, 10 minutes. */
  formerCopiesKeptMs?: number;
  /** For each disk, unless told otherwise 100 MiB. */
  recoveryBytesPerSecond?: number;
  /** What is known of layers that are given up, all of it from the start. */
  layers: LayerRules;
  /** See RoleContext. */
  adoptedAtStart: number;
  incarnation(): number;
  /** Whether reads and writes may be answered now, by the rule of liveness and the map. */
  mayAnswer(): boolean;
  map(): ClusterMap;
  refreshMap(): Promise<ClusterMap>;
  fetchMap(epoch: number): void;
  /** A disk failed: it has to leave the map. */
  onDiskFailed(disk: number, reason: string): void;
  /** `completed` may have changed. */
  onCompleted(): void;
  onError(error: unknown): void;
}

/** All of replication on one host: its disks as members, its writers and readers, and what connects them to peers. */
export class ReplicaHost implements Objects {
  readonly #options: ReplicaHostOptions;
  readonly #disks = new Map<number, ReplicaDisk>();
  readonly #inquiries: Inquiries;
  readonly #member: Member;
  readonly #work: DiskWork;
  readonly #own: OwnCopies;
  readonly #images = new Map<number, ReplicatedImage>();
  readonly #fetchingWriters = new Set<number>();
  #wake: (() => void)[] = [];
  /** The incarnation with which the map had this host up last. */
  #upWith = 0;
  /** The map that is about to be adopted. */
  #preparing: ClusterMap | null = null;
  /** Times that what was known of writers was forgotten: what was asked for before says nothing. */
  #forgotten = 0;
  #closed = false;

  constructor(options: ReplicaHostOptions, disks: Iterable<Disk>) {
    this.#options = options;
    this.#inquiries = new Inquiries((host, message) => this.#sendTo(host, message as ObjectMessage));
    this.#work = new DiskWork(this.#disks, options.layers, () => options.incarnation());
    this.#own = new OwnCopies(options.map(), this.#disks);
    for (const disk of disks) this.#disks.set(disk.number, this.#replicaOf(disk));
    this.#member = new Member(options.map(), {
      execute: (ticket) => void this.#execute(ticket),
      answer: (asker, request, outcome) => this.#answer(asker, request, outcome),
      fetchMap: (epoch) => options.fetchMap(epoch),
      fetchWriter: (vdi) => void this.#fetchWriter(vdi),
      pull: (request) => this.#pull(request),
      isToDo: ({ disk, copies, pg, chain, index }) =>
        this.#disks.get(disk)!.recovery.isToDo({ copies, pg }, chain.family, index),
      hasDisk: (disk) => this.#disks.get(disk)?.disk.failed === null,
      isActive: (request) => this.#isActive(request),
      mayAnswer: () => options.mayAnswer(),
    });
  }

  /** Takes a disk in that was opened after others: stores on it first what follows from the map that is gone by. */
  async addDisk(disk: Disk): Promise<void> {
    const added = this.#replicaOf(disk);
    const newest = () => this.#preparing ?? this.#options.map();
    for (let map: ClusterMap | null = null; map !== newest() && !disk.failed; ) {
      map = newest();
      await this.#prepareDisk(added, map, EMPTY_MAP, this.#toBeDurable(map));
    }
    this.#disks.set(disk.number, added);
    added.recovery.mapAdopted(this.#options.map());
    added.former.mapAdopted(this.#options.map());
    this.#own.mapAdopted(this.#options.map());
    this.#member.rightChanged();
  }

  #replicaOf(disk: Disk): ReplicaDisk {
    const { clock, bootId, map, fetchMap, layers, pgOf, onCompleted, onDiskFailed } = this.#options;
    // Of the disk's, it has to leave the map.
    const onError = (error: unknown) => this.#diskError(disk.number, error);
    const locks = new IndexLocks();
    const layouts = (copies: number) => this.#layout(copies);
    const recovery: Recovery = new Recovery(disk, locks, {
      ...{ clock, inquiries: this.#inquiries, bootId, map, fetchMap, layout: layouts, layers, onError },
      onChange: () => {
        onCompleted();
        this.#member.rightChanged();
      },
      onInstalled: (installed) => this.#raise(installed, this.#preparing ?? map(), EMPTY_MAP),
      onPulled: (number, family, index) => this.#member.pulled(number, family, index),
      settled: (group) => former.settled(group),
      bytesPerSecond: this.#options.recoveryBytesPerSecond ?? RECOVERY_BYTES_PER_SECOND,
      isBusy: () => this.#member.isBusy,
    });
    const former: FormerCopies = new FormerCopies(disk, locks, {
      ...{ clock, layout: layouts, onError, keptMs: this.#options.formerCopiesKeptMs ?? FORMER_COPIES_KEPT_MS },
      idle: (group) => recovery.idle(group),
    });
    disk.on('failed', (reason) => {
      onDiskFailed(disk.number, reason);
      this.#member.diskFailed(disk.number);
    });
    return { disk, locks, recovery, former, layers: new LayerWork({ disk, locks, recovery }, pgOf), layouts };
  }

  /** How far each disk of this host is. */
  get recovery(): RecoveryProgress[] {
    return [...this.#disks.values()].map(({ recovery }) => recovery.progress);
  }

  /** Lets a disk go that no group names: when it resolves, nothing uses the disk any more. */
  async removeDisk(number: number): Promise<void> {
    const replica = this.#disks.get(number);
    if (!replica) return;
    replica.recovery.close();
    replica.former.close();
    replica.layers.close();
    await this.#settled(replica);
    this.#disks.delete(number);
    this.#own.mapAdopted(this.#options.map());
  }

  async #settled({ disk, recovery, former, layers }: ReplicaDisk): Promise<void> {
    await Promise.all([recovery.ended(), former.ended(), layers.ended(), this.#member.idle(disk.number)]);
  }

  /** Whether this host serves its guests and peers now. */
  get mayAnswer(): boolean {
    return this.#options.mayAnswer();
  }

  /** Groups that this host's disks have completed. */
  get completed(): Completed[] {
    return [...this.#disks.values()].flatMap(({ recovery }) => recovery.completed);
  }

  /** Stores on this host's disks what has to be stored before it acts by the map. */
  async prepare(map: ClusterMap, before: ClusterMap): Promise<void> {
    await Promise.all([...this.#images.values()].map(({ role }) => role.prepare(map)));
    const { host, coordination, adoptedAtStart } = this.#options;
    if (hasLostSince(map, Math.max(before.epoch, adoptedAtStart))) {
      const hasServed = (vdi: number) => this.#images.get(vdi)?.role.hasServed ?? false;
      const isClosed = () => this.#closed;
      await endInherited({ host, coordination, hasServed, isClosed, pause: () => this.#pause() });
    }
    // Who is to hear of a loss has perhaps not been stored: a later worker, which knows how far this one came, has to.
    if (this.#closed) throw new Error('the host has stopped');
    await this.#member.hold(map);
    this.#preparing = map;
    const durable = this.#toBeDurable(map);
    await Promise.all([...this.#disks.values()].map((disk) => this.#prepareDisk(disk, map, before, durable)));
  }

  /** A disk that fails meanwhile is not waited for: what it has under way may never end. */
  #prepareDisk(replica: ReplicaDisk, map: ClusterMap, before: ClusterMap, durable: ReadonlySet<number>): Promise<void> {
    const { disk } = replica;
    if (disk.failed) return Promise.resolve();
    return new Promise((resolve) => {
      const failed = () => resolve();
      disk.once('failed', failed);
      void this.#storeFor(replica, map, before, durable).then(() => {
        disk.off('failed', failed);
        resolve();
      });
    });
  }

  #toBeDurable(map: ClusterMap): Set<number> {
    return disksToBeDurable(
      map,
      [...this.#disks.values()].map(({ disk }) => disk),
    );
  }

  async #storeFor(
    { disk, former }: ReplicaDisk,
    map: ClusterMap,
    before: ClusterMap,
    durable: ReadonlySet<number>,
  ): Promise<void> {
    try {
      if (!disk.durableActivity && durable.has(disk.number)) {
        disk.durableActivity = true;
        await disk.index.durable();
      }
      await former.prepare(map);
      await this.#raise(disk, map, before);
      // The conductor has not seen this open of the disk before the map has this incarnation up, with the disk there.
      if (!isUpWith(map, this.#options.host, this.#options.incarnation()) || map.disks[disk.number]?.absent) return;
      const insync: GroupName[] = [];
      for (const [copies, table] of Object.entries(map.tables)) {
        for (const [pg, group] of table.entries()) {
          if (group.insync.includes(disk.number)) insync.push({ copies: Number(copies), pg });
        }
      }
      await disk.groups.setInsync(insync, map.epoch);
    } catch (error) {
      this.#diskError(disk.number, error);
    }
  }

  /** Raises `modified` of what is active in groups whose `since` is another than in the map before. */
  #raise(disk: Disk, map: ClusterMap, before: ClusterMap): Promise<void> {
    return raiseModified(disk, (family, index) => {
      const copies = this.#options.copiesOf(family);
      const pg = this.#options.pgOf(family, index);
      const since = map.tables[copies]?.[pg]?.since ?? null;
      return since === before.tables[copies]?.[pg]?.since ? null : since;
    });
  }

  mapAdopted(map: ClusterMap): void {
    this.#preparing = null;
    this.#inquiries.cancelWhere((host) => map.hosts[host]?.up !== true);
    const { host, incarnation } = this.#options;
    if (isUpWith(map, host, incarnation()) && this.#upWith !== incarnation()) {
      // Nobody has asked this host to adopt a generation while the map had it down.
      this.#upWith = incarnation();
      this.#forgetWriters();
    }
    for (const { recovery, former } of this.#disks.values()) {
      recovery.mapAdopted(map);
      former.mapAdopted(map);
    }
    const durable = this.#toBeDurable(map);
    for (const { disk } of this.#disks.values()) disk.durableActivity = durable.has(disk.number);
    this.#own.mapAdopted(map);
    this.#member.mapAdopted(map);
    for (const { role } of this.#images.values()) role.mapAdopted(map);
    this.#wakeAll();
  }

  /** This host is up with a new incarnation: what it knew of writers, and held of roles, is void. */
  incarnationChanged(): void {
    this.#forgetWriters();
    for (const { role } of this.#images.values()) role.lose();
  }

  #forgetWriters(): void {
    this.#forgotten++;
    this.#member.forgetWriters();
  }

  /** Whether the host may answer has changed. */
  rightChanged(): void {
    this.#member.rightChanged();
    this.#wakeAll();
  }

  linkOpened(host: string, session: number): void {
    this.#member.sessionOpened(host, session);
    this.#inquiries.linkOpened(host);
    for (const { role } of this.#images.values()) role.linkOpened(host);
  }

  received(host: string, session: number, message: ObjectMessage): void {
    switch (message.type) {
      case 'reply':
        if (!this.#inquiries.replied(message)) for (const { role } of this.#images.values()) role.replied(message);
        break;
      case 'release':
        void this.#release({ host, session }, message);
        break;
      case 'attributes': {
        const attributes = this.#images.get(message.vdi)?.attributes(message.generation) ?? null;
        this.#answer({ host, session }, message.request, { body: attributes });
        break;
      }
      default:
        this.#member.received({ host, session }, message);
    }
  }

  /** The objects of an image for this host's guests; of each image what was asked for first. */
  image(options: ImageOptions): ReplicatedImage {
    let image = this.#images.get(options.vdi);
    if (!image) {
      const { host, clock, coordination, incarnation, map, refreshMap, fetchMap, pgOf, groupCount } = this.#options;
      const { adoptedAtStart, mayAnswer } = this.#options;
      image = new ReplicatedImage(
        {
          ...{ host, clock, coordination, inquiries: this.#inquiries, incarnation, map, refreshMap, fetchMap },
          ...{ pgOf, groupCount, adoptedAtStart, mayAnswer, member: this.#member, own: this.#own },
          diskError: (disk, error) => this.#diskError(disk, error),
          isFull: (disk) => this.#isFull(disk),
          send: (disk, message) => this.#sendToDisk(disk, message),
          answering: () => this.#answering(),
          pause: () => this.#pause(),
          closed: () => this.#images.delete(options.vdi),
        },
        options,
      );
      this.#images.set(options.vdi, image);
    }
    return image;
  }

  /** The map knows of a disk elsewhere what its host's last heartbeat said; of an own one that would be late. */
  #isFull(disk: number): boolean {
    const own = this.#disks.get(disk);
    return own ? own.disk.space.state === 'full' : this.#options.map().disks[disk]?.room === 'none';
  }

  /** See Objects. */
  step<Result>(
    images: readonly ImageObjects[],
    opened: number,
    change: (steps: readonly GenerationStep[]) => Promise<Stepped<Result>>,
    ends: readonly string[] = [],
  ): Promise<Result> {
    return step(this.#options.clock, images as readonly ReplicatedImage[], opened, change, ends);
  }

  usage(family: number, layer: number): number {
    let bytes = 0;
    for (const { disk } of this.#disks.values()) bytes += disk.usage(family, layer);
    return bytes;
  }

  get layerDisks(): LayerDisk[] {
    return [...this.#disks.values()].filter(({ disk }) => disk.failed === null).map(({ layers }) => layers);
  }

  /** Gives back the writer roles that can be given now: whoever takes them has nothing to find out. */
  async handBack(): Promise<void> {
    await Promise.all([...this.#images.values()].map(({ role }) => role.handBack()));
  }

  /** Resolves when nothing is under way on a disk of this host, after `close`. */
  async ended(): Promise<void> {
    await Promise.all([...this.#disks.values()].filter(({ disk }) => !disk.failed).map((disk) => this.#settled(disk)));
  }

  close(): void {
    this.#closed = true;
    for (const { role } of this.#images.values()) role.close();
    for (const { recovery, former } of this.#disks.values()) {
      recovery.close();
      former.close();
    }
  }

  async #execute(ticket: Ticket): Promise<void> {
    let outcome: Outcome;
    try {
      outcome = await this.#work.execute(ticket.request);
    } catch (error) {
      // Not answered: the disk leaves the map, and whoever asked goes on without it.
      if ('disk' in ticket.request) this.#diskError(ticket.request.disk, error);
      else this.#options.onError(error);
      this.#member.abandoned(ticket);
      return;
    }
    this.#member.executed(ticket, outcome);
  }

  #diskError(disk: number, error: unknown): void {
    if (error instanceof StoreError) {
      this.#options.onDiskFailed(disk, error.message);
      this.#member.diskFailed(disk);
    } else this.#options.onError(error);
  }

  #answer({ host, session }: Asker, request: number, { refusal, body }: Outcome): void {
    const reply: Reply = { type: 'reply', request, ...(refusal && { refusal }), ...(body !== undefined && { body }) };
    if (host === this.#options.host) this.#later(() => this.received(host, OWN_SESSION, reply));
    // An answer by another session would be to a question that was asked again.
    else this.#options.links.send(host, reply, session);
  }

  #sendToDisk(disk: number, message: ObjectMessage): void {
    const host = this.#options.map().disks[disk]?.host;
    if (host !== undefined) this.#sendTo(host, message);
  }

  #sendTo(host: string, message: ObjectMessage): void {
    if (host === this.#options.host) this.#later(() => this.received(host, OWN_SESSION, message));
    else this.#options.links.send(host, message);
  }

  #later(callback: () => void): void {
    queueMicrotask(callback);
  }

  #pull({ disk, copies, pg, chain, index }: ChangeRequest): void {
    const { recovery } = this.#disks.get(disk)!;
    recovery.pullNow({ copies, pg }, chain.family, index).catch((error) => this.#diskError(disk, error));
  }

  async #fetchWriter(vdi: number): Promise<void> {
    if (this.#fetchingWriters.has(vdi)) return;
    this.#fetchingWriters.add(vdi);
    const forgotten = this.#forgotten;
    try {
      const found = await this.#options.coordination.get(writerKey(vdi));
      if (forgotten === this.#forgotten) this.#member.writerKnown(vdi, found && decodeWriter(found.value));
    } catch {
      // The store does not answer: requests wait, and ask again then.
      await pause(this.#options.clock, RETRY_MS);
    } finally {
      this.#fetchingWriters.delete(vdi);
      this.#later(() => this.#member.rightChanged());
    }
  }

  async #release(asker: Asker, request: ReleaseRequest): Promise<void> {
    const role = this.#images.get(request.vdi)?.role;
    // Of an image that is gone nobody needs to be told.
    const released = (await role?.release(asker.host, request).catch(() => false)) ?? false;
    this.#answer(asker, request.request, { body: { released } });
  }

  #isActive(request: LookRequest): boolean {
    const disk = this.#disks.get(request.disk)?.disk;
    const { family, layers } = request.chain;
    return layers.some(({ layer }) => {
      const active = disk?.layers.get(family, layer)?.active;
      if (!active) return false;
      if ('index' in request) return active.has(request.index);
      for (const index of active.keys()) if (request.pgs.includes(this.#options.pgOf(family, index))) return true;
      return false;
    });
  }

  #layout(copies: number): GroupLayout {
    const { pgOf, copiesOf, groupCount } = this.#options;
    return { groupCount, groupOf: pgOf, has: (family) => copiesOf(family) === copies };
  }

  /** Resolves when this host may answer its guests. */
  async #answering(): Promise<void> {
    while (!this.#options.mayAnswer()) {
      await new Promise<void>((resolve) => {
        this.#wake.push(resolve);
      });
    }
  }

  /** Resolves after a while, or when the map or the right to answer has changed. */
  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(RETRY_MS, resolve);
      this.#wake.push(() => {
        cancel();
        resolve();
      });
    });
  }

  #wakeAll(): void {
    const wake = this.#wake;
    this.#wake = [];
    for (const each of wake) each();
  }
}
