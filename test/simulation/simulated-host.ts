import { readAllDisks } from '../../lib/cluster/all-disks.js';
import { type Clock, pause } from '../../lib/cluster/clock.js';
import { readDown } from '../../lib/cluster/down-hosts.js';
import { PatientCoordination } from '../../lib/cluster/patient-coordination.js';
import { registerHost } from '../../lib/cluster/register-host.js';
import type { Coordination } from '../../lib/coordination/coordination.js';
import { type LockBreaker, Locks } from '../../lib/filesystem/locks.js';
import type { Links } from '../../lib/net/links.js';
import { ClusterHost } from '../../lib/replication/cluster-host.js';
import type { LayerRules } from '../../lib/replication/layer-rules.js';
import type { Message } from '../../lib/replication/messages.js';
import { Disk, type StoreError } from '../../lib/store/index.js';
import { reserveOf } from '../../lib/store/space.js';
import { FamilyWatch } from '../../lib/vdi/family-watch.js';
import { Vdis } from '../../lib/vdi/vdis.js';
import type { Random } from '../helpers/random.js';
import { type SimulatedDevice, SimulatedMachine, type SimulatedSystem } from './disk.js';
import { PAGE_BYTES } from './disk-file.js';
import { HostClock } from './host-clock.js';
import { type DiskSlot, HostDisks } from './host-disks.js';
import { ProcessScope } from './process-scope.js';
import type { Shared } from './world.js';

/** What the host's state directory holds; it is on a disk of its own that does not fail. */
interface HostState {
  incarnation: number;
  adoptedEpoch: number;
}

const STATE_WRITE_MS = 1;
const RETRY_MS = 300;
/** A worker does not wait longer for its disks to open. */
const OPEN_MS = 3000;
const MARGIN_MS = 200;
const WEIGHT = 1e12;
/** Shorter than in earnest, so that it happens. */
const FORMER_COPIES_KEPT_MS = 3000;

/** One run of a host's worker. */
export interface Run {
  readonly scope: ProcessScope;
  readonly cluster: ClusterHost;
  readonly vdis: Vdis;
  readonly locks: Locks;
  readonly clock: Clock;
  readonly coordination: Coordination;
  /** Those that are open, also what has failed since. */
  readonly disks: Disk[];
  readonly system: SimulatedSystem;
  /** Resolves to null when the worker has ended. */
  readonly ended: Promise<null>;
}

/** A host of the simulated cluster: its machine and disks outlive its workers, of which it has one at a time. */
export class SimulatedHost {
  readonly id: string;
  readonly machine: SimulatedMachine;
  readonly hostClock: HostClock;
  readonly #shared: Shared;
  readonly #random: Random;
  readonly disks: HostDisks;
  readonly #state: HostState = { incarnation: 0, adoptedEpoch: 0 };
  #scope: ProcessScope | null = null;
  run: Run | null = null;
  readonly #opening = new Set<number>();
  /** Disks that are open, of which the cluster has not been told yet. */
  readonly #telling = new Set<number>();
  #workers = 0;
  /** Numbers of files that its guests have opened. */
  handles = 0;
  /** Boot id of the kernel that has the mount. */
  #mountedIn: string | null = null;
  #isRemoved = false;
  #starting: ((run: Run) => void)[] = [];

  constructor(id: string, shared: Shared, random: Random, devices: ReadonlyMap<number, SimulatedDevice>) {
    this.id = id;
    this.#shared = shared;
    this.#random = random;
    this.machine = new SimulatedMachine(id);
    this.disks = new HostDisks(this.machine, random);
    for (const [number, device] of devices) this.disks.add(number, device);
    const clock = { rate: 1 + (random.below(2001) - 1000) / 100_000, startMs: random.below(1_000_000) };
    this.hostClock = new HostClock(shared.scheduler, shared.options.steady ? {} : clock);
  }

  /** The worker that serves now, or the next one. */
  running(): Promise<Run> {
    if (this.run) return Promise.resolve(this.run);
    return new Promise((resolve) => {
      this.#starting.push(resolve);
    });
  }

  get isRunning(): boolean {
    return this.#scope !== null;
  }

  /** Whether the worker is about to tell the cluster that it has the disk: nobody can take it away meanwhile. */
  isTellingOf(disk: number): boolean {
    return (this.isRunning && this.run === null) || this.#telling.has(disk);
  }

  get isPaused(): boolean {
    return this.#scope?.paused ?? false;
  }

  /** Starts a worker. */
  start(): void {
    if (this.#isRemoved) return;
    const { scheduler, random, trace } = this.#shared;
    const scope = new ProcessScope(scheduler, random, `${this.id}.${++this.#workers}`);
    this.#scope = scope;
    trace.note(this.id, `worker ${this.#workers} starts`);
    this.#start(scope).catch((error) => {
      if (scope.alive) this.#shared.defect(this.id, error);
    });
  }

  /** It belongs to the cluster no more, and never starts again. */
  remove(): void {
    if (this.isRunning) this.kill();
    this.#isRemoved = true;
  }

  /** kill -9 of the worker. */
  kill(): void {
    this.#shared.trace.note(this.id, 'killed');
    this.machine.kill(this.#random);
    this.#end();
  }

  /** The power goes and comes back; the caller starts the worker. */
  reboot(): void {
    this.#shared.trace.note(this.id, 'rebooted');
    this.#end();
    this.machine.reboot(this.#random);
  }

  /** Others write to a disk, until so much of its reserve is left. */
  crowd(disk: number, share: number): void {
    const { slots } = this.disks;
    const { device } = slots[disk % slots.length]!;
    device.othersBytes = 0;
    const leftBytes = share * reserveOf(device.capacityBytes);
    device.othersBytes = Math.max(0, device.pagesFree * PAGE_BYTES - leftBytes);
  }

  /** Others delete all that they wrote. To whichever disk: with those that came or went since, numbers have changed. */
  uncrowd(): void {
    for (const { device } of this.disks.slots) device.othersBytes = 0;
  }

  pauseFor(ms: number): void {
    this.#shared.trace.note(this.id, `paused for ${Math.round(ms)} ms`);
    this.#scope?.pauseFor(ms);
  }

  #end(): void {
    this.#scope?.kill();
    this.#opening.clear();
    this.#telling.clear();
    this.#scope = null;
    this.run = null;
  }

  async #start(scope: ProcessScope): Promise<void> {
    const { store } = this.#shared;
    const clock = this.hostClock.of(scope);
    const coordination = store.client(this.id, scope);
    const timer = { elapsedMs: () => clock.elapsedMs(), after: (ms: number, go: () => void) => scope.arrival(ms, go) };
    const system = this.machine.start(timer, clock);
    const disks: Disk[] = [];
    const opening = this.disks.slots.filter(({ hasFailed }) => !hasFailed);
    const opened = opening.map((slot) => this.#open(slot, system, (disk) => this.#opened(scope, disk, disks)));
    await Promise.race([Promise.all(opened), pause(clock, OPEN_MS)]);
    const incarnation = this.#state.incarnation + 1;
    await this.#store(scope, { incarnation });
    // What opens later is registered by itself, however long it takes to register these.
    const inTime = [...disks];
    await this.#register(clock, coordination, inTime);

    const patient = new PatientCoordination(coordination, clock);
    const families = new FamilyWatch(patient);
    await families.open();
    // The mount went with the kernel that it was of.
    const inheritsHandles = this.#mountedIn === this.machine.bootId;
    if (!inheritsHandles) await this.#forgetLocks(patient, clock);
    const cluster = this.#cluster(scope, clock, coordination, inTime, { layers: families, inheritsHandles });
    const { trace, scheduler } = this.#shared;
    const vdis = new Vdis({
      ...{ coordination: patient, host: this.id, clock, objects: cluster.replica, families },
      allDisks: () => readAllDisks(patient),
      isOpen: (vdi) => this.isOpen(vdi),
      onError: (error, family) => trace.note(this.id, `family ${family}: ${error}`),
      now: () => ({
        seconds: Math.floor(scheduler.nowMs / 1000),
        nanoseconds: Math.floor((scheduler.nowMs % 1000) * 1e6),
      }),
    });
    const breaker: LockBreaker = {
      down: (hosts) => readDown(patient, hosts),
      endHandles: (vdi, hosts, change) => vdis.endHandles(vdi, hosts, change),
    };
    const locks = new Locks(patient, this.id, breaker, clock);
    const ended = new Promise<null>((resolve) => scope.onKill(() => resolve(null)));
    const run: Run = { scope, cluster, vdis, locks, clock, coordination, disks, system, ended };
    this.run = run;
    for (const disk of disks) if (!inTime.includes(disk)) this.#tell(run, disk);
    for (const resolve of this.#starting.splice(0)) resolve(run);
    cluster.start();
    await vdis.start();
  }

  /** What guests of an earlier mount have locked, before there are any of this one. */
  async #forgetLocks(coordination: Coordination, clock: Clock): Promise<void> {
    const { bootId } = this.machine;
    const locks = new Locks(coordination, this.id, null, clock);
    await locks.dropAllOf(this.id);
    locks.close();
    this.#mountedIn = bootId;
  }

  /** Whether a guest of this host has the image open. */
  isOpen: (vdi: number) => boolean = () => false;

  /** A guest of this host has closed the image. */
  closed(vdi: number): void {
    if (!this.isOpen(vdi)) this.run?.vdis.closed(vdi);
  }

  /** Opens a disk that the worker has not had open, while it runs. */
  open(slot: DiskSlot): void {
    const { run } = this;
    if (!run || slot.hasFailed || run.disks.some(({ number }) => number === slot.number)) return;
    void this.#open(slot, run.system, (disk) => this.#opened(run.scope, disk, run.disks));
  }

  /** An empty disk, under a number that no other had. */
  addDisk(number: number, device: SimulatedDevice, weight: number): void {
    this.open(this.disks.add(number, device, weight));
  }

  /** A disk that no group names is taken away. */
  removeDisk(number: number): void {
    this.disks.remove(number);
    const { run } = this;
    const at = run?.disks.findIndex((disk) => disk.number === number) ?? -1;
    if (!run || at < 0) return;
    const [disk] = run.disks.splice(at, 1);
    run.cluster
      .removeDisk(number)
      .then(() => disk!.close())
      .catch(() => {});
  }

  /** Never rejects: a host serves without a disk that it cannot open. */
  async #open(slot: DiskSlot, system: SimulatedSystem, opened: (disk: Disk) => void): Promise<void> {
    const { number, path } = slot;
    if (this.#opening.has(number)) return;
    this.#opening.add(number);
    try {
      if (!slot.isFormatted) {
        // A worker that ended before it could say so may have formatted it.
        await Disk.format(path, { cluster: 'simulated', host: this.id, disk: number }, system).catch((error) => {
          if ((error as StoreError).code !== 'NOT_EMPTY') throw error;
        });
        slot.isFormatted = true;
      }
      const disk = await Disk.open(path, { disk: number, opens: slot.opens }, { system, replicated: true });
      slot.opens = disk.record.opens;
      slot.attachment = slot.device.attachment;
      opened(disk);
    } catch (error) {
      this.#shared.trace.note(this.id, `disk ${number} does not open: ${(error as Error).message}`);
    }
    this.#opening.delete(number);
  }

  /** A disk is open: it goes with the worker's start, or joins it late. */
  #opened(scope: ProcessScope, disk: Disk, disks: Disk[]): void {
    // Or it was taken away meanwhile.
    if (!scope.alive || !this.disks.slot(disk.number)) return;
    disks.push(disk);
    const { run } = this;
    if (run?.scope === scope) this.#tell(run, disk);
  }

  /** Of a disk that opened late: registers it, and lets it serve. */
  #tell(run: Run, disk: Disk): void {
    this.#telling.add(disk.number);
    void this.#register(run.clock, run.coordination, [disk]).then(() => {
      this.#telling.delete(disk.number);
      return run.cluster.addDisk(disk);
    });
  }

  #cluster(
    scope: ProcessScope,
    clock: Clock,
    coordination: Coordination,
    disks: readonly Disk[],
    options: { layers: LayerRules; inheritsHandles: boolean },
  ): ClusterHost {
    const { network, trace, placement, mapOptions } = this.#shared;
    let links: Links<Message> | null = null;
    const cluster: ClusterHost = new ClusterHost(
      {
        ...{ host: this.id, bootId: this.machine.bootId, clock, coordination, disks },
        ...{ marginMs: MARGIN_MS, map: mapOptions, formerCopiesKeptMs: FORMER_COPIES_KEPT_MS },
        state: {
          incarnation: this.#state.incarnation,
          adoptedEpoch: this.#state.adoptedEpoch,
          failedDisks: this.disks.slots.filter(({ hasFailed }) => hasFailed).map(({ number }) => number),
          storeIncarnation: (incarnation) => this.#store(scope, { incarnation }),
          storeAdoptedEpoch: (adoptedEpoch) => this.#store(scope, { adoptedEpoch }),
          storeFailedDisk: (disk) => this.#stored(scope, () => this.#noteFailed(disk)),
        },
        ...options,
        pgOf: (family, index) => placement.pgOf(family, index),
        copiesOf: (family) => placement.copiesOf(family),
        onError: (error) => this.#shared.defect(this.id, error),
        note: (what) => trace.note(this.id, what),
      },
      { send: (host, message, session) => links?.send(host, message, session) ?? null },
    );
    links = network.attach(this.id, scope, cluster);
    return cluster;
  }

  async #register(clock: Clock, coordination: Coordination, disks: readonly Disk[]): Promise<void> {
    const self = { id: this.id, name: this.id, zone: this.id, publicKey: '', addresses: [] };
    const opened = disks.map(({ number, record }) => ({
      number,
      weight: WEIGHT * (this.disks.slot(number)?.weight ?? 1),
      opens: record.opens,
    }));
    const { incarnation } = this.#state;
    for (;;) {
      try {
        await registerHost(coordination, self, incarnation, opened);
        return;
      } catch {
        await pause(clock, RETRY_MS);
      }
    }
  }

  #store(scope: ProcessScope, change: Partial<HostState>): Promise<void> {
    return this.#stored(scope, () => Object.assign(this.#state, change));
  }

  #stored(scope: ProcessScope, change: () => void): Promise<void> {
    return new Promise((resolve) => {
      scope.arrival(STATE_WRITE_MS, () => {
        change();
        resolve();
      });
    });
  }

  #noteFailed(number: number): void {
    const slot = this.disks.slot(number);
    if (slot) slot.hasFailed = true;
  }
}
