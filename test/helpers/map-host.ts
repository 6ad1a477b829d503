import type { OpenDisk } from '../../lib/cluster/alive-record.js';
import { type ClusterMap, EMPTY_MAP, mayServe } from '../../lib/cluster/cluster-map.js';
import { Conductor, type Decision } from '../../lib/cluster/conductor.js';
import { type HostRecord, hostKey } from '../../lib/cluster/host-record.js';
import { encodeHostRecord } from '../../lib/cluster/host-records.js';
import { HostLiveness } from '../../lib/cluster/liveness.js';
import type { Report } from '../../lib/cluster/observation.js';
import { withOpened } from '../../lib/cluster/register-host.js';
import type { Transaction } from '../../lib/coordination/coordination.js';
import type { MapModel } from './map-model.js';
import { TB } from './map-world.js';

const MARGIN_MS = 500;
/** Those of the time between a look and what comes of it. */
const RENEWALS_KEPT = 16;

/** A host of the model: its worker comes and goes, its disks and its state directory stay. */
export class ModelHost {
  readonly id: string;
  readonly zone: string;
  readonly #model: MapModel;
  incarnation = 0;
  bootId: string;
  /** Null while no worker runs. */
  liveness: HostLiveness | null = null;
  conductor: Conductor | null = null;
  adopted: ClusterMap = EMPTY_MAP;
  #adoptedEpoch = 0;
  pausedUntilMs = 0;
  /** Until then it does not reach the store. */
  storeAwayUntilMs = 0;
  /** So often more it starts again, once a tick. */
  flaps = 0;
  /** By number, what each disk says of how often it was opened. */
  readonly opens = new Map<number, number>();
  /** Disks that are open, and since when. */
  readonly open = new Map<number, number>();
  /** Disks that it saw fail or vanish, noted durably: no worker opens one before the map shows that it was gone. */
  readonly #lost = new Set<number>();
  readonly #failed = new Set<number>();
  /** Of its last heartbeats that were stored, the newest first. */
  renewals: { atMs: number; bootId: string }[] = [];
  #renewAtMs = 0;
  #decisions: Decision[] = [];
  #lookedAtMs = 0;

  constructor(id: string, zone: string, disks: readonly number[], model: MapModel) {
    this.id = id;
    this.zone = zone;
    this.#model = model;
    this.bootId = `${id}-0`;
    for (const disk of disks) this.opens.set(disk, 0);
  }

  get isRunning(): boolean {
    return this.liveness !== null;
  }

  get isAwake(): boolean {
    return this.isRunning && this.pausedUntilMs <= this.#model.nowMs;
  }

  get #reachesStore(): boolean {
    return this.storeAwayUntilMs <= this.#model.nowMs;
  }

  /** When the look was made that its last decisions are of. */
  get lookedAtMs(): number {
    return this.#lookedAtMs;
  }

  /** A worker starts: it reads the map, and opens its disks, which raises their counters. */
  start(): void {
    if (this.isRunning || !this.#reachesStore) return;
    const { nowMs, options } = this.#model;
    const incarnation = ++this.incarnation;
    const { ttlMs } = options;
    this.liveness = new HostLiveness({ host: this.id, bootId: this.bootId, incarnation, ttlMs, marginMs: MARGIN_MS });
    this.conductor = new Conductor({ host: this.id, incarnation, sinceMs: nowMs, options });
    this.#decisions = [];
    this.open.clear();
    this.#failed.clear();
    this.pausedUntilMs = 0;
    this.adopted = EMPTY_MAP;
    this.adopt(this.#model.map);
    this.openDisks();
    this.#renewAtMs = nowMs;
  }

  kill(): void {
    this.liveness = null;
    this.conductor = null;
  }

  reboot(): void {
    this.kill();
    this.bootId = `${this.id}-${this.#model.nowMs}`;
    for (const disk of this.opens.keys()) this.#model.copies.loseUnflushed(disk);
  }

  /** Opens what it has not open, but what the map does not show yet to have been gone. */
  openDisks(): void {
    if (!this.isAwake || !this.#reachesStore) return;
    const mayOpen = (disk: number) => !this.#lost.has(disk) || !mayServe(this.adopted, disk);
    const disks = [...this.opens.keys()].filter((disk) => !this.open.has(disk) && mayOpen(disk));
    for (const disk of disks) {
      this.#lost.delete(disk);
      this.#failed.delete(disk);
      this.opens.set(disk, this.opens.get(disk)! + 1);
      this.open.set(disk, this.#model.nowMs);
    }
    const known = this.#model.record(this.id);
    if (known !== null && disks.length === 0) return;
    const self = { id: this.id, name: this.id, zone: this.zone, publicKey: '', addresses: [] };
    const opened = disks.map((number) => ({ number, weight: TB, opens: this.opens.get(number)! }));
    this.#model.setRecord(withOpened(known, self, this.incarnation, opened));
  }

  /** A disk fails with an I/O error, or its directory is gone. Its page cache is lost. */
  loseDisk(disk: number, isFailure: boolean): void {
    if (!this.open.delete(disk)) return;
    this.#lost.add(disk);
    if (isFailure) this.#failed.add(disk);
    this.#model.copies.loseUnflushed(disk);
  }

  renew(): void {
    const { nowMs, options } = this.#model;
    if (!this.isAwake || this.#renewAtMs > nowMs) return;
    this.#renewAtMs = nowMs + options.ttlMs / 4;
    if (!this.#reachesStore) return;
    const disks = [...this.open.keys()].map((number): OpenDisk => {
      return { number, opens: this.opens.get(number)!, free: 0, room: 'ample' };
    });
    const unreachable = this.#model.unreachableFrom(this);
    const renewal = this.liveness!.renew(nowMs, { adopted: this.adopted.epoch, disks, unreachable });
    const result = this.#model.apply(this, renewal.transaction);
    if (result.succeeded)
      this.renewals = [{ atMs: nowMs, bootId: this.bootId }, ...this.renewals].slice(0, RENEWALS_KEPT);
    this.liveness!.answered(renewal, result);
  }

  adopt(map: ClusterMap): void {
    if (!this.isAwake || map.epoch < this.#adoptedEpoch || map.epoch <= this.adopted.epoch) return;
    this.adopted = map;
    this.#adoptedEpoch = map.epoch;
    this.liveness!.adopt(map, this.#model.revisionOf(map));
    const incarnation = this.liveness!.raiseTo;
    if (incarnation === null) return;
    this.incarnation = incarnation;
    this.liveness!.raised(incarnation);
    this.conductor!.raised(incarnation, this.#model.nowMs);
  }

  /** Somebody has a newer map: it is fetched. */
  fetch(epoch: number): void {
    if (this.adopted.epoch < epoch && this.#reachesStore) this.adopt(this.#model.map);
  }

  /** One round of conducting; what it decides may be carried out later. */
  conduct(): void {
    const { nowMs, random } = this.#model;
    if (!this.isAwake || !this.#reachesStore) return;
    if (this.#decisions.length === 0) {
      const look = this.#model.apply(this, this.conductor!.look(nowMs));
      this.conductor!.looked(nowMs, nowMs, look);
      this.#lookedAtMs = nowMs;
      this.#decisions = this.conductor!.decide(nowMs);
    }
    while (this.#decisions.length > 0 && random.chance(0.8)) {
      const { transaction, done } = this.#decisions.shift()!;
      done(this.#model.apply(this, transaction));
    }
  }

  /** What it has to tell the conductor, besides the copies that it completed. */
  reports(): Report[] {
    const { id: host, incarnation, adopted } = this;
    const failed = [...this.#failed].map((disk): Report => ({ type: 'disk-failed', disk, incarnation }));
    if (adopted.hosts[host]?.up !== false) return failed;
    return [...failed, { type: 'reaches', host, peers: this.#model.reachedFrom(this) }];
  }

  answers(disk: number): boolean {
    if (!this.isAwake || !this.open.has(disk)) return false;
    return this.liveness!.mayAnswer(this.#model.nowMs) && mayServe(this.adopted, disk);
  }
}

export function putRecord(record: HostRecord): Transaction {
  return { success: [{ put: hostKey(record.id), value: encodeHostRecord(record) }] };
}
