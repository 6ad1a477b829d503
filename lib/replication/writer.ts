import { type ClusterMap, groupIn, type MapGroup } from '../cluster/cluster-map.js';
import { ActiveObjects, type WriterObject } from './active-objects.js';
import { DirectChange, type DirectTarget } from './direct-change.js';
import type { Change, ChangeRequest, FlushRequest, Progress, Refusal, Reply, RetireRequest } from './messages.js';
import type { Chain } from './object-io.js';

/** Active objects of an image, at most; a change that would make one more waits. */
export const ACTIVE_OBJECTS_MAX = 1024;
/** Changes of an image on their way; more are held. More than guests of one host can have requests. */
export const CHANGES_MAX = 256;
/** From this many on the oldest are flushed and retired. */
export const ACTIVE_OBJECTS_HIGH = (ACTIVE_OBJECTS_MAX * 3) / 4;
/** Retirements that were not answered, at most: the oldest beyond is given up, and its objects stay active there. */
const RETIREMENTS_MAX = 256;
/** Objects retired by one message. */
const RETIRE_BATCH = 256;

/** What the writer decides; a driver carries it out. Nothing here may call back before it returns. */
export interface WriterPort {
  /** A number for a request that this host's process has not used. */
  nextRequest(): number;
  /** Sends to the host that has the disk, itself included; what cannot be sent now is asked for by `linkOpened`. */
  send(disk: number, request: ChangeRequest | FlushRequest | RetireRequest): void;
  /** Reads the map from the store, which must have this epoch or a later one, and tells `mapAdopted`. */
  fetchMap(epoch: number): void;
  /** Somebody has a later generation: the role is lost, or has to be taken again. */
  fenced(generation: number): void;
}

export interface WriterOptions {
  vdi: number;
  copies: number;
  generation: number;
  /** Of this host, under which it holds the role. */
  incarnation: number;
  map: ClusterMap;
  /** What the image shows now. */
  chain(): Chain;
  /**
   * Groups of which the fence has heard nobody who has all of them; null: no fence was needed, as who had the role gave it
   * back clean. What that has not flushed others tell. A flush waits for these groups: they restart, or have lost it.
   */
  unheard: readonly number[] | null;
  /** The placement group of an index. */
  pgOf(index: number): number;
  port: WriterPort;
}

/** What may be lost where a group restarts, after this epoch, from a copy that lost power. */
export interface Unflushed {
  readonly epoch: number;
  readonly pgs: readonly number[];
}

/** A change on its way: done when every disk of its group's `acting` has answered under the present `since`. */
interface Operation {
  readonly sequence: number;
  readonly chain: Chain;
  readonly index: number;
  readonly pg: number;
  readonly change: Change;
  /** What it changes; null where it only looks. */
  readonly object: WriterObject | null;
  /** The only disk that is asked; null for all of `acting`. */
  readonly only: number | null;
  /** Of the group, when it was last sent. */
  since: number;
  /** By disk, the request that has not been answered under that `since`. */
  readonly asked: Map<number, ChangeRequest>;
  readonly resolve: (answers: Answers | null) => void;
  readonly answers: Map<number, unknown>;
}

/** By disk, what was answered. */
export type Answers = ReadonlyMap<number, unknown>;

interface FlushedGroup {
  since: number;
  /** Disks that have not answered under that `since`. */
  readonly left: Set<number>;
}

interface Flush {
  readonly number: number;
  readonly chain: Chain;
  readonly groups: Map<number, FlushedGroup>;
  /** Sent and not answered, by number. */
  readonly asked: Map<number, FlushRequest>;
  readonly resolve: (flushed: boolean) => void;
}

/** A group of the image's table, as far as the image was written there. */
interface WrittenGroup {
  /** Changes that were sent and are not done. */
  outstanding: number;
  /** Flushes that had begun when a change was last sent or done. */
  touched: number;
  /** Whether all that was sent is known to be flushed under the present `since`. */
  clean: boolean;
  /** Whether something was sent that no flush is known to have covered, under whatever `since`. */
  unflushed: boolean;
  /** The newest flush that all of `acting` answered, and under which `since`. */
  flushNumber: number;
  flushSince: number;
}

interface Held {
  readonly chain: Chain;
  readonly index: number;
  readonly change: Change;
  readonly resolve: (answers: Answers | null) => void;
}

/**
 * The holder of an image's writer role: sends each change to all of `acting`, and again when that has changed; flushes;
 * retires. Without I/O of its own.
 *
 * The caller has no two changes in flight that overlap.
 */
export class Writer {
  readonly generation: number;
  readonly #options: WriterOptions;
  readonly #port: WriterPort;
  #map: ClusterMap;
  #sequence = 0;
  /** Changes that are not done, in the order of their sequence. */
  readonly #operations = new Map<number, Operation>();
  readonly #requests = new Map<number, Operation | Flush>();
  readonly #flushes = new Set<Flush>();
  /** Sent and not answered: one that is lost with its session goes again. */
  readonly #retirements = new Map<number, RetireRequest>();
  #flushesBegun = 0;
  readonly #active = new ActiveObjects();
  readonly #groups = new Map<number, WrittenGroup>();
  /** By index, its active objects that are not equal. */
  readonly #unequal = new Map<number, number>();
  #olderDone: boolean;
  /** Changes that wait for their index to be equal, or for room among the active objects. */
  readonly #held: Held[] = [];
  readonly #awaiting: (() => void)[] = [];
  #makingRoom = false;
  #stopped = false;
  #closed = false;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.generation = options.generation;
    this.#port = options.port;
    this.#map = options.map;
    this.#olderDone = options.unheard === null;
    for (const pg of options.unheard ?? []) {
      const written = this.#written(pg);
      written.clean = false;
      written.unflushed = true;
    }
  }

  /** Of the next change. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Every change below it is done. */
  get done(): number {
    for (const sequence of this.#operations.keys()) return sequence;
    return this.#sequence;
  }

  /** Whether nothing is on its way or may differ between copies, and every member knows that. */
  get isClean(): boolean {
    const { size } = this.#retirements;
    return this.#operations.size === 0 && this.#held.length === 0 && this.#active.size === 0 && size === 0;
  }

  /** Whether the role is over: nothing is begun any more. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** The epoch since which the members of an index's group are what they are. */
  since(index: number): number {
    return this.#group(this.#options.pgOf(index)).since;
  }

  /** Disks of an index's group whose copies are complete. */
  insync(index: number): readonly number[] {
    return this.#group(this.#options.pgOf(index)).insync;
  }

  /** Groups that may hold acknowledged changes which are not known to be on disk, by the map that it goes by. */
  get unflushed(): Unflushed {
    const pgs = [...this.#groups].filter(([, { unflushed }]) => unflushed).map(([pg]) => pg);
    return { epoch: this.#map.epoch, pgs };
  }

  /** What is told with each request of what is done: see Progress. */
  get progress(): Progress {
    return { done: this.done, olderDone: this.#olderDone };
  }

  /** All that older generations have left different is equal, as far as anybody who had a copy then can know. */
  settleOlder(): void {
    this.#olderDone = true;
  }

  get isOlderDone(): boolean {
    return this.#olderDone;
  }

  /**
   * Takes over an object that an older generation may have left active. Where it is not equal, the caller makes it so,
   * and changes of the index wait until `equalized` is called.
   */
  inherit(family: number, layer: number, index: number, isUnequal: boolean): void {
    const pg = this.#options.pgOf(index);
    if (!this.#active.get(layer, index)) {
      const object = this.#activate(family, layer, index, pg);
      // Once it is equal and flushed, whatever this generation has sent to it so far is covered as well.
      object.sequence = this.#sequence - 1;
    }
    const object = this.#active.get(layer, index)!;
    if (isUnequal && !object.unequal) this.#unequal.set(index, (this.#unequal.get(index) ?? 0) + 1);
    object.unequal ||= isUnequal;
    const written = this.#written(pg);
    written.clean = false;
    written.unflushed = true;
    for (const touched of [object, written]) touched.touched = this.#flushesBegun;
  }

  /** The copies of an inherited object are equal now, and on disk only after a flush. */
  equalized(layer: number, index: number): void {
    const object = this.#active.get(layer, index);
    if (!object?.unequal) return;
    object.unequal = false;
    const left = this.#unequal.get(index)! - 1;
    if (left > 0) this.#unequal.set(index, left);
    else this.#unequal.delete(index);
    const written = this.#written(object.pg);
    for (const touched of [object, written]) touched.touched = this.#flushesBegun;
    written.clean = false;
    this.#admitHeld();
    this.#makeRoom();
  }

  /** Resolves when nothing is on its way that changes the index, or the writer was stopped. */
  async idle(index: number): Promise<void> {
    while (this.#isChanging(index)) await this.settles();
  }

  #isChanging(index: number): boolean {
    for (const operation of this.#operations.values()) if (operation.object && operation.index === index) return true;
    return false;
  }

  /** Resolves when the change is done, with what each disk answered; null where the writer was stopped or closed before. */
  change(chain: Chain, index: number, change: Change): Promise<Answers | null> {
    if (this.#stopped || this.#closed) return Promise.resolve(null);
    return new Promise((resolve) => {
      const held = { chain, index, change, resolve };
      if (this.#mustWait(held)) this.#held.push(held);
      else this.#begin(held);
      this.#makeRoom();
    });
  }

  /**
   * The object where a write needs no more than to be carried out by the only member of the group; null where it has to
   * be sent.
   */
  directObject(layer: number, index: number, pg: number, since: number): WriterObject | null {
    if (this.#stopped || this.#closed || this.#group(pg).since !== since) return null;
    const object = this.#active.get(layer, index);
    return object && !object.unequal ? object : null;
  }

  /** Begins a write that the caller carries out at once, and tells `endDirect` or `sendDirect` of. */
  beginDirect(target: DirectTarget, offset: number, data: Buffer): DirectChange {
    const sequence = this.#sequence++;
    const change = new DirectChange(target, this.generation, sequence, offset, data);
    this.#touch(target.object, sequence);
    this.#operations.set(sequence, change);
    return change;
  }

  /** It is done. */
  endDirect(change: DirectChange): void {
    if (this.#operations.get(change.sequence) !== change || change.since !== this.#group(change.pg).since) return;
    this.#end(change);
  }

  /** It may not be answered as it is. */
  sendDirect(change: DirectChange): void {
    if (this.#operations.get(change.sequence) === change) this.#sendOperation(change);
  }

  /**
   * Asks all of `acting`, or one disk, about an index, and changes nothing. Null where the writer was stopped, or the one
   * disk is no member any more.
   */
  look(chain: Chain, index: number, change: Change, only: number | null = null): Promise<Answers | null> {
    if (this.#stopped) return Promise.resolve(null);
    return new Promise((resolve) => this.#start({ chain, index, change, resolve }, null, only));
  }

  /** From now on no change is begun, until `reopen`: the role is about to be given away. */
  close(): void {
    this.#closed = true;
  }

  reopen(): void {
    this.#closed = false;
  }

  /** Resolves when everything that was done before the call is on disk at all of `acting`; false: stopped before. */
  flush(chain: Chain): Promise<boolean> {
    if (this.#stopped) return Promise.resolve(false);
    return new Promise((resolve) => {
      const groups = new Map<number, FlushedGroup>();
      for (const [pg, { clean }] of this.#groups) if (!clean) groups.set(pg, { since: -1, left: new Set() });
      const flush: Flush = { number: ++this.#flushesBegun, chain, groups, asked: new Map(), resolve };
      this.#flushes.add(flush);
      this.#sendFlush(flush);
      this.#settleFlush(flush);
    });
  }

  /**
   * Retires what a flush has covered, but for objects with a change of this sequence or a later one. Answers whether there
   * were any: one that is written to again and again would be recorded active anew each time, durably.
   */
  retire(before = Number.POSITIVE_INFINITY): boolean {
    const covered: WriterObject[] = [];
    let isLeft = false;
    for (const object of this.#active) {
      if (!this.#isRetirable(object)) continue;
      if (object.sequence < before) covered.push(object);
      else isLeft = true;
    }
    for (let start = 0; start < covered.length; start += RETIRE_BATCH) {
      this.#retireBatch(covered.slice(start, start + RETIRE_BATCH));
    }
    this.#admitHeld();
    return isLeft;
  }

  /** Whether a group that had nobody to ask, by the map that this goes by, has somebody by the newer one. */
  hearsMoreBy(map: ClusterMap): boolean {
    const { copies } = this.#options;
    const before = this.#map.tables[copies] ?? [];
    const after = map.tables[copies] ?? [];
    return after.some(({ acting }, pg) => acting.length > 0 && before[pg]?.acting.length === 0);
  }

  /** Whether something that has to be flushed is in a group that has nobody to flush it. */
  get isStopped(): boolean {
    for (const [pg, { clean }] of this.#groups) if (!clean && this.#group(pg).acting.length === 0) return true;
    return false;
  }

  mapAdopted(map: ClusterMap): void {
    const before = this.#map;
    this.#map = map;
    for (const [pg, written] of this.#groups) {
      // A new member has what is not flushed from the others, and unflushed as well.
      if (this.#groupIn(before, pg).since !== this.#group(pg).since) written.clean = false;
    }
    for (const [number, retirement] of this.#retirements) {
      if (!retirement.objects.some(({ pg }) => this.#group(pg).since > retirement.epoch)) continue;
      this.#retirements.delete(number);
      this.#reactivate(retirement);
    }
    for (const operation of this.#operations.values()) {
      if (operation.since !== this.#group(operation.pg).since) this.#sendOperation(operation);
    }
    for (const flush of [...this.#flushes]) {
      this.#sendFlush(flush);
      this.#settleFlush(flush);
    }
    this.#admitHeld();
  }

  /** The host has a new session: whatever it has not answered goes again. */
  linkOpened(host: string): void {
    for (const request of this.#retirements.values()) {
      if (this.#map.disks[request.disk]?.host === host) this.#port.send(request.disk, request);
    }
    for (const [number, asker] of this.#requests) {
      const request = 'sequence' in asker ? findRequest(asker, number) : asker.asked.get(number);
      if (request && this.#map.disks[request.disk]?.host === host) this.#port.send(request.disk, request);
    }
  }

  /**
   * Resolves when one more change or retirement is done, or when the writer is stopped: each wakes whoever waits only once.
   * A flush does not: two that flush while a change is under way would wake each other with that, for ever.
   */
  settles(): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    return new Promise((resolve) => {
      this.#awaiting.push(resolve);
    });
  }

  #wake(): void {
    if (this.#awaiting.length === 0) return;
    for (const resolve of this.#awaiting.splice(0)) resolve();
  }

  replied({ request, refusal, body }: Reply): void {
    const retirement = this.#retirements.get(request);
    if (retirement) {
      this.#retirements.delete(request);
      if (refusal?.reason === 'map') this.#reactivate(retirement);
      else this.#wake();
      return;
    }
    const asker = this.#requests.get(request);
    if (!asker) return;
    if (refusal) {
      if (!('sequence' in asker)) this.#flushRefused(asker, request);
      this.#refused(refusal);
      return;
    }
    this.#requests.delete(request);
    if ('sequence' in asker) this.#changeAnswered(asker, request, body);
    else this.#flushAnswered(asker, request);
  }

  /** Ends the role: what was not done is the caller's to do again, under a new generation. */
  stop(): void {
    this.#stopped = true;
    const operations = [...this.#operations.values(), ...this.#held];
    const flushes = [...this.#flushes];
    this.#operations.clear();
    this.#requests.clear();
    this.#retirements.clear();
    this.#held.length = 0;
    this.#flushes.clear();
    for (const { resolve } of operations) resolve(null);
    for (const { resolve } of flushes) resolve(false);
    this.#wake();
  }

  /** For an index to become equal; or for room, what would make one more active object: others make room in the end. */
  #mustWait(held: Held): boolean {
    if (held.change.kind === 'equal') return false;
    if (this.#unequal.size > 0 && this.#unequal.has(held.index)) return true;
    // What makes copies equal goes ahead: what waits here may wait for that.
    if (this.#operations.size >= CHANGES_MAX) return true;
    return this.#active.size >= ACTIVE_OBJECTS_MAX && !this.#active.get(layerOf(held), held.index);
  }

  #begin(held: Held): void {
    const { chain, index } = held;
    const pg = this.#options.pgOf(index);
    const object = this.#activate(chain.family, layerOf(held), index, pg);
    this.#touch(object, this.#sequence);
    this.#start(held, object, null);
  }

  /** A change to the object is about to be sent. */
  #touch(object: WriterObject, sequence: number): void {
    const written = this.#written(object.pg);
    written.clean = false;
    written.unflushed = true;
    written.outstanding++;
    written.touched = this.#flushesBegun;
    object.sequence = sequence;
    object.outstanding++;
    object.touched = this.#flushesBegun;
  }

  #start({ chain, index, change, resolve }: Held, object: WriterObject | null, only: number | null): void {
    const pg = this.#options.pgOf(index);
    const asked = new Map<number, ChangeRequest>();
    const answers = new Map<number, unknown>();
    const sequence = this.#sequence++;
    const operation = { sequence, chain, index, pg, change, object, only, since: -1, asked, resolve, answers };
    this.#operations.set(sequence, operation);
    this.#sendOperation(operation);
  }

  #activate(family: number, layer: number, index: number, pg: number): WriterObject {
    const known = this.#active.get(layer, index);
    if (known) return known;
    const touched = this.#flushesBegun;
    const object = { family, layer, index, pg, sequence: -1, outstanding: 0, touched, unequal: false };
    this.#active.add(object);
    return object;
  }

  #sendOperation(operation: Operation): void {
    const { chain, index, pg, change, sequence, only } = operation;
    const { vdi, copies, incarnation } = this.#options;
    const group = this.#group(pg);
    for (const { request } of operation.asked.values()) this.#requests.delete(request);
    operation.asked.clear();
    operation.answers.clear();
    operation.since = group.since;
    if (only !== null && group.acting.length > 0 && !group.acting.includes(only)) {
      this.#operations.delete(sequence);
      operation.resolve(null);
      return;
    }
    const { generation } = this;
    const { done, olderDone } = this.progress;
    for (const disk of only === null ? group.acting : group.acting.filter((each) => each === only)) {
      const request: ChangeRequest = {
        type: 'change',
        request: this.#port.nextRequest(),
        ...{ disk, copies, pg, since: group.since, vdi, generation, incarnation, chain, index, sequence, change },
        ...{ done, olderDone },
      };
      operation.asked.set(disk, request);
      this.#requests.set(request.request, operation);
    }
    for (const [disk, request] of operation.asked) this.#port.send(disk, request);
  }

  #changeAnswered(operation: Operation, request: number, body: unknown): void {
    for (const [disk, asked] of operation.asked) {
      if (asked.request !== request) continue;
      operation.asked.delete(disk);
      operation.answers.set(disk, body);
    }
    // Nothing was asked of a group without a member: it goes on when there is one again.
    if (operation.asked.size === 0) this.#end(operation);
  }

  /** The operation is done. */
  #end(operation: Operation): void {
    this.#operations.delete(operation.sequence);
    const { object } = operation;
    if (object) {
      const written = this.#written(operation.pg);
      written.outstanding--;
      written.touched = this.#flushesBegun;
      object.outstanding--;
      object.touched = this.#flushesBegun;
    }
    operation.resolve(operation.answers);
    this.#wake();
    if (this.#held.length === 0) return;
    this.#admitHeld();
    this.#makeRoom();
  }

  /** Asks every disk that has not answered for its groups under their present `since`, each with one request. */
  #sendFlush(flush: Flush): void {
    const byDisk = new Map<number, number[]>();
    for (const [pg, flushed] of flush.groups) {
      const group = this.#group(pg);
      if (flushed.since === group.since) continue;
      flushed.since = group.since;
      flushed.left.clear();
      for (const disk of group.acting) {
        flushed.left.add(disk);
        const pgs = byDisk.get(disk);
        if (pgs) pgs.push(pg);
        else byDisk.set(disk, [pg]);
      }
    }
    const { vdi, copies, incarnation } = this.#options;
    const { generation } = this;
    for (const [disk, pgs] of byDisk) {
      const since = Math.max(...pgs.map((pg) => this.#group(pg).since));
      const request: FlushRequest = {
        type: 'flush',
        request: this.#port.nextRequest(),
        ...{ disk, copies, pgs, since, vdi, generation, incarnation, chain: flush.chain },
        ...this.progress,
      };
      flush.asked.set(request.request, request);
      this.#requests.set(request.request, flush);
      this.#port.send(disk, request);
    }
  }

  #flushAnswered(flush: Flush, number: number): void {
    const request = flush.asked.get(number)!;
    flush.asked.delete(number);
    for (const pg of request.pgs) {
      const flushed = flush.groups.get(pg)!;
      // It was asked before the group changed, and says nothing of what it is now.
      if (flushed.since <= request.since) flushed.left.delete(request.disk);
    }
    this.#settleFlush(flush);
  }

  /** One group that has changed refuses them all: each is asked for again, by the next map. */
  #flushRefused(flush: Flush, number: number): void {
    const request = flush.asked.get(number)!;
    flush.asked.delete(number);
    this.#requests.delete(number);
    for (const pg of request.pgs) {
      const flushed = flush.groups.get(pg)!;
      if (flushed.since <= request.since && flushed.left.has(request.disk)) flushed.since = -1;
    }
  }

  #settleFlush(flush: Flush): void {
    if (!this.#flushes.has(flush)) return;
    for (const [pg, { left, since }] of flush.groups) {
      if (left.size > 0 || since < 0 || this.#group(pg).acting.length === 0) return;
    }
    this.#flushes.delete(flush);
    for (const number of flush.asked.keys()) this.#requests.delete(number);
    for (const [pg, { since }] of flush.groups) {
      const written = this.#written(pg);
      written.flushNumber = Math.max(written.flushNumber, flush.number);
      written.flushSince = since;
      if (isCovered(written, flush.number)) {
        written.clean = true;
        written.unflushed = false;
      }
    }
    flush.resolve(true);
  }

  #isRetirable(object: WriterObject): boolean {
    const { flushNumber, flushSince } = this.#written(object.pg);
    return !object.unequal && isCovered(object, flushNumber) && flushSince === this.#group(object.pg).since;
  }

  #retireBatch(covered: readonly WriterObject[]): void {
    const byDisk = new Map<number, WriterObject[]>();
    for (const object of covered) {
      this.#active.remove(object);
      for (const disk of this.#group(object.pg).acting) {
        const objects = byDisk.get(disk);
        if (objects) objects.push(object);
        else byDisk.set(disk, [object]);
      }
    }
    const { vdi, copies, incarnation } = this.#options;
    const { generation } = this;
    for (const [disk, objects] of byDisk) {
      const request: RetireRequest = {
        type: 'retire',
        request: this.#port.nextRequest(),
        ...{ disk, copies, epoch: this.#map.epoch, vdi, generation, incarnation },
        ...this.progress,
        objects: objects.map(({ family, pg, index, layer, sequence }) => ({ family, pg, index, layer, sequence })),
      };
      this.#retirements.set(request.request, request);
      const [oldest] = this.#retirements.keys();
      if (this.#retirements.size > RETIREMENTS_MAX) this.#retirements.delete(oldest!);
      this.#port.send(disk, request);
    }
  }

  #makeRoom(): void {
    if (this.#makingRoom || this.#active.size < ACTIVE_OBJECTS_HIGH) return;
    this.#makingRoom = true;
    void this.flush(this.#options.chain()).then((flushed) => {
      this.#makingRoom = false;
      if (!flushed) return;
      const { size } = this.#active;
      this.retire();
      // Where all that is left is in flight, or not equal yet, that ends first and comes here then.
      if (this.#active.size < size || (this.#held.length > 0 && this.#mayRetireLater())) this.#makeRoom();
    });
  }

  /** Whether another flush could cover an object: its group is not clean, so that asks somebody. */
  #mayRetireLater(): boolean {
    for (const { outstanding, unequal } of this.#active) if (outstanding === 0 && !unequal) return true;
    return false;
  }

  /** A group has changed before all of its members had heard of a retirement: those that had not keep the object active. */
  #reactivate({ objects }: RetireRequest): void {
    for (const { family, layer, index, pg, sequence } of objects) {
      const object = this.#activate(family, layer, index, pg);
      object.sequence = Math.max(object.sequence, sequence);
      object.touched = this.#flushesBegun;
      const written = this.#written(pg);
      written.touched = this.#flushesBegun;
      written.clean = false;
    }
  }

  #admitHeld(): void {
    if (this.#held.length === 0) return;
    const held = this.#held.splice(0);
    for (const each of held) {
      if (this.#mustWait(each)) this.#held.push(each);
      else this.#begin(each);
    }
  }

  #refused(refusal: Refusal): void {
    if (refusal.reason === 'map') {
      this.#port.fetchMap(refusal.epoch);
      // The map came before the refusal did.
      if (refusal.epoch <= this.#map.epoch) for (const flush of this.#flushes) this.#sendFlush(flush);
    } else if (refusal.reason === 'generation') this.#port.fenced(refusal.generation);
  }

  #written(pg: number): WrittenGroup {
    let written = this.#groups.get(pg);
    if (!written) {
      written = { outstanding: 0, touched: -1, clean: true, unflushed: false, flushNumber: 0, flushSince: -1 };
      this.#groups.set(pg, written);
    }
    return written;
  }

  #group(pg: number): MapGroup {
    return this.#groupIn(this.#map, pg);
  }

  #groupIn(map: ClusterMap, pg: number): MapGroup {
    return groupIn(map, this.#options.copies, pg);
  }
}

/** Whether no change was sent, or unanswered, since the flush of that number began. */
function isCovered({ outstanding, touched }: { outstanding: number; touched: number }, flushNumber: number): boolean {
  return outstanding === 0 && touched < flushNumber;
}

function layerOf({ chain, change }: Held): number {
  return change.kind === 'equal' ? change.layer : chain.layers[0]!.layer;
}

function findRequest(operation: Operation, number: number): ChangeRequest | undefined {
  for (const request of operation.asked.values()) if (request.request === number) return request;
  return undefined;
}
