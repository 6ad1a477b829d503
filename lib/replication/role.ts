import { type Clock, pause } from '../cluster/clock.js';
import { type ClusterMap, isUpWith } from '../cluster/cluster-map.js';
import type { Coordination } from '../coordination/coordination.js';
import { Equalizer } from './equalizer.js';
import { Fence, type FenceFindings, type Purpose, recordAfterFence } from './fence.js';
import { isRefreshed } from './image-refresh.js';
import type { Inquiries } from './inquiries.js';
import type { Change, MemberRequest, ReleaseRequest, Reply } from './messages.js';
import { type Chain, type GenerationStep, type ImageOptions, OBJECT_BYTES } from './object-io.js';
import { SpaceGuard } from './space-guard.js';
import { type Unflushed, Writer } from './writer.js';
import { type WriterRecord, withLoss } from './writer-record.js';
import { WriterStore } from './writer-store.js';

/** Before a store that did not answer, or a holder that did not give the role, is asked again. */
const RETRY_MS = 200;
/** How long a hand-over may wait for what is not equal or flushed; then the asker asks again. */
const HAND_OVER_MS = 5000;
/** After a flush, of what is not written to any more. */
const RETIRE_AFTER_MS = 1000;

/** A handle of this host is dead: another host took the image over. */
export class FencedError extends Error {
  readonly code = 'EIO';

  constructor(vdi: number) {
    super(`image ${vdi} was taken over by another host: close it, and open it again`);
    this.name = 'FencedError';
  }
}

/** The image is no more. */
export class GoneError extends Error {
  readonly code = 'ESTALE';

  constructor(vdi: number) {
    super(`image ${vdi} is gone`);
    this.name = 'GoneError';
  }
}

export interface RoleContext {
  readonly host: string;
  readonly clock: Clock;
  readonly coordination: Coordination;
  readonly inquiries: Inquiries;
  incarnation(): number;
  map(): ClusterMap;
  /** Reads the map from the store now. Rejects as the store does. */
  refreshMap(): Promise<ClusterMap>;
  fetchMap(epoch: number): void;
  pgOf(family: number, index: number): number;
  /** See SpaceGuardContext. */
  isFull(disk: number): boolean;
  send(disk: number, message: MemberRequest): void;
  /** Resolves after a while, or when the map or the right to answer has changed. */
  pause(): Promise<void>;
  /**
   * The epoch that an earlier process of this host had adopted whose guests may have unflushed writes; Infinity: there are
   * no such guests.
   */
  readonly adoptedAtStart: number;
}

/** See ImageOptions. */
export interface RoleOptions
  extends Pick<ImageOptions, 'vdi' | 'copies' | 'chain' | 'refresh' | 'reaches' | 'settled'> {
  /** `equalized` resolves when what earlier holders have left different is equal; false: the role was lost. */
  acquired(writer: Writer, equalized: () => Promise<boolean>): Promise<void>;
}

/**
 * A role that is held back, everything equal, flushed and retired, until it goes on or `thaw` is called, or the role is
 * lost.
 */
export interface FrozenRole extends GenerationStep {
  /** The transaction has stored the step. Resolves when every host that is up knows the generation. */
  advance(): Promise<void>;
  /** The transaction was not carried out, or may not have been (`unsure`). */
  thaw(unsure: boolean): void;
}

/**
 * The writer role of one image on this host: takes it when it is needed, from nobody, from a live holder by asking, from
 * one that is gone by a fence; gives it back when it is asked to.
 */
export class WriterRole {
  readonly #context: RoleContext;
  readonly #options: RoleOptions;
  readonly #store: WriterStore;
  readonly #fence: Fence;
  readonly #space: SpaceGuard;
  #writer: Writer | null = null;
  #equalizer: Equalizer | null = null;
  #taking: Promise<void> | null = null;
  #releasing: Promise<boolean> | null = null;
  /** Lets the role go that a step holds back. */
  #thaw: (() => void) | null = null;
  #fenced: Readonly<Record<string, number>> = {};
  /** The highest generation of which the record that says so was read. */
  #fencedBy = -1;
  /** See WriterRecord: of the record under which this host holds the role. */
  #owed: string | null = null;
  /** Whether guests of this host may have written what nobody is known to have flushed. */
  #unflushed = true;
  /** What a writer that has ended, of an earlier process too, had not flushed, until a later one has. */
  #left: Unflushed | null = null;
  /** Questions under way about what else may differ: nothing counts as equal before they are answered. */
  #learning = 0;
  #retiring = false;
  /** Whether the holder has been asked for the role, and has not answered. */
  #asking = false;
  /** Whether this process has held the role before. */
  #served = false;
  #closed = false;
  #gone = false;

  constructor(context: RoleContext, options: RoleOptions) {
    this.#context = context;
    this.#options = options;
    const { coordination, inquiries, refreshMap, pgOf } = context;
    const { vdi, copies, chain } = options;
    this.#store = new WriterStore(coordination, vdi);
    this.#space = new SpaceGuard({ copies, map: context.map, pgOf: context.pgOf, isFull: context.isFull });
    this.#fence = new Fence({ inquiries, vdi, copies, refreshMap, chain, pgOf });
  }

  get writer(): Writer | null {
    return this.#writer;
  }

  /** Whether this process has held the role. */
  get hasServed(): boolean {
    return this.#served;
  }

  /** The generation under which this host may use the role; null: it does not hold it, or not yet. */
  get held(): number | null {
    return this.#taking ? null : (this.#writer?.generation ?? null);
  }

  /** Whether nothing is known here that has to be made equal. */
  get isEqual(): boolean {
    return this.#equalizer === null || this.#equalizer.isDone;
  }

  /** The writer, where a guest may change anything by it without waiting. Throws FencedError. */
  ready(opened: number): Writer | null {
    if (!this.#writer || this.#taking || this.#releasing || this.#owed !== null || !this.isEqual) return null;
    this.checkHandle(opened);
    return this.#writer;
  }

  /**
   * Changes an index, under whatever generation it takes. `wanted` that hangs on what only the holder of the role knows is
   * asked for under each; null: nothing is to be changed. `opened` is the generation that the image had when the handle was
   * opened. Throws FencedError, and NoSpaceError before the change is sent to anybody.
   */
  async change(
    chain: () => Chain,
    index: number,
    wanted: Change | (() => Change | null),
    opened: number,
  ): Promise<void> {
    for (;;) {
      const writer = await this.take('write', opened);
      const change = typeof wanted === 'function' ? wanted() : wanted;
      if (change === null) return;
      const room = this.#space.before(writer, chain(), index, change);
      if (room) {
        await room;
        // What is wanted may be another under another role.
        if (this.#writer !== writer) continue;
      }
      const admission = this.#options.reaches(endOf(index, change));
      if (admission) {
        await admission;
        // The role may have gone meanwhile, and whoever had it may have changed what was admitted.
        continue;
      }
      if (this.#equalizer?.holds(index)) void this.#equalizer.before(index);
      if (await writer.change(chain(), index, change)) return;
    }
  }

  /** Flushes what this host or a holder before it was told to write. Throws FencedError. */
  async flush(opened: number): Promise<void> {
    for (;;) {
      this.checkHandle(opened);
      // What was given back clean was flushed before.
      if (!this.#writer && !this.#taking && !this.#unflushed) return;
      const writer = await this.take('write', opened);
      if (!(await writer.flush(this.#options.chain()))) continue;
      this.#left = null;
      this.#retireSoon();
      return;
    }
  }

  /** Whether it is known which handles of this host are dead under that generation. */
  knowsHandles(generation: number): boolean {
    return this.#fencedBy >= generation;
  }

  /**
   * Finds out which handles of this host are dead under that generation: another host may have taken the image over while
   * this one was away, or an earlier process had it. False: the store does not answer.
   */
  async learnHandles(generation: number): Promise<boolean> {
    if (this.knowsHandles(generation)) return true;
    const stored = await this.#store.read().catch(() => null);
    if (!stored) return false;
    if (stored.record.generation > this.#fencedBy) {
      this.#fenced = stored.record.fenced;
      this.#fencedBy = stored.record.generation;
    }
    return this.knowsHandles(generation);
  }

  /** Throws FencedError for a handle that was opened, at this generation, before this host lost the image. */
  checkHandle(opened: number): void {
    if ((this.#fenced[this.#context.host] ?? 0) > opened) throw new FencedError(this.#options.vdi);
  }

  /** Throws GoneError. */
  checkThere(): void {
    if (this.#gone) throw new GoneError(this.#options.vdi);
  }

  /** Resolves when nothing keeps the index from being read here that an earlier holder has left different. */
  async before(index: number): Promise<void> {
    if (this.#writer && !this.#equalizer?.isDone) await this.#equalizer?.before(index);
  }

  /** As `before`, of every index. */
  async beforeAll(): Promise<void> {
    if (this.#writer && !this.#equalizer?.isDone) await this.#equalizer?.all();
  }

  /**
   * To be awaited before a newer map is adopted. Where that has a group restart from a copy that may lack what this host's
   * guests were told is written, they hear an error from then on, and never see old data.
   */
  async prepare(map: ClusterMap): Promise<void> {
    while (!this.#closed && this.#isLostBy(map)) {
      const stored = await this.#store.read().catch(() => null);
      const record = stored && withLoss(stored.record, this.#context.host);
      if (stored && record && (await this.#store.replace(record, stored.revision).catch(() => false))) {
        this.#fenced = record.fenced;
        if (this.#writer) this.#drop(this.#writer);
        this.#left = null;
      } else await this.#pause();
    }
  }

  #isLostBy(map: ClusterMap): boolean {
    const table = map.tables[this.#options.copies] ?? [];
    return [this.#writer?.unflushed, this.#left].some((unflushed) =>
      unflushed?.pgs.some((pg) => (table[pg]?.lossy ?? 0) > unflushed.epoch),
    );
  }

  /** Retires what the last flush has covered, lazily: the next flush may cover more. */
  #retireSoon(): void {
    if (this.#retiring) return;
    this.#retiring = true;
    const writer = this.#writer;
    const { sequence } = writer ?? { sequence: 0 };
    this.#context.clock.after(RETIRE_AFTER_MS, () => {
      this.#retiring = false;
      if (this.#writer && (this.#writer !== writer || writer.retire(sequence))) this.#retireSoon();
    });
  }

  /** Makes everything equal that an earlier holder may have left different. */
  async equalize(): Promise<void> {
    const writer = await this.take('equalize', Number.POSITIVE_INFINITY);
    if (!writer.stopped) await this.#equalizer?.all();
  }

  /** The writer of this host, once it holds the role. Throws FencedError. */
  async take(purpose: Purpose, opened: number): Promise<Writer> {
    for (;;) {
      if (this.#releasing) {
        await this.#releasing;
        continue;
      }
      if (!this.#writer || this.#taking) {
        this.#taking ??= this.#acquire(purpose).finally(() => {
          this.#taking = null;
        });
        await this.#taking;
        continue;
      }
      this.checkHandle(opened);
      if (purpose === 'write' && this.#owed !== null) {
        await this.#endHandlesOf(this.#owed, this.#writer);
        continue;
      }
      return this.#writer;
    }
  }

  /** A guest here is about to write to what was taken from a host only to make it equal. */
  async #endHandlesOf(owed: string, writer: Writer): Promise<void> {
    const stored = await this.#store.read().catch(() => null);
    if (!stored) return this.#pause();
    if (stored.record.generation !== writer.generation) {
      this.#drop(writer);
      return;
    }
    // Under a later generation, which is taken by a fence: who goes by the present one would not hear of it.
    const generation = writer.generation + 1;
    const fenced = { ...stored.record.fenced, [owed]: generation };
    const next = { ...stored.record, generation, fenced, owed: null };
    if (!(await this.#store.replace(next, stored.revision).catch(() => false))) return this.#pause();
    this.#fenced = fenced;
    this.#owed = null;
    this.#drop(writer);
  }

  mapAdopted(map: ClusterMap): void {
    const writer = this.#writer;
    if (!writer) return;
    const hearsMore = writer.hearsMoreBy(map) || this.#fence.hearsMoreBy(map);
    writer.mapAdopted(map);
    if (hearsMore) void this.#askMore(writer, map);
    else this.#settleOlder(writer);
  }

  /** Whatever older generations have left different is equal when all is that was found, and everybody was asked. */
  #settleOlder(writer: Writer): void {
    if (this.#writer !== writer || writer.isOlderDone || this.#learning > 0 || !this.#equalizer?.isDone) return;
    if (this.#fence.hasHeardAll(this.#context.map())) writer.settleOlder();
  }

  /** Groups have members now that could not be asked by the fence: what they know of is found out. */
  async #askMore(writer: Writer, map: ClusterMap): Promise<void> {
    this.#learning++;
    const asked = this.#fence.ask(map, writer.generation, this.#context.incarnation());
    const found = await asked.finally(() => {
      this.#learning--;
    });
    if (this.#writer !== writer) return;
    if (!found) {
      this.#drop(writer);
      return;
    }
    this.#equalizer?.add(found);
    this.#equalizeAll(writer);
  }

  #equalizeAll(writer: Writer): void {
    void this.#equalizer?.all().then(() => this.#settleOlder(writer));
  }

  linkOpened(host: string): void {
    this.#writer?.linkOpened(host);
  }

  replied(reply: Reply): void {
    this.#writer?.replied(reply);
  }

  /** Somebody has seen a later generation than the one that this host holds. */
  outdated(generation: number): void {
    if (this.#writer && this.#writer.generation < generation) this.#drop(this.#writer);
  }

  /** Finds out whether the store still has this host as the holder; where it does not, the role is over. */
  async recheck(): Promise<void> {
    const writer = this.#writer;
    // Guests wait for what they asked for: that the store does not answer is no error of theirs.
    while (writer && this.#writer === writer) {
      const stored = await this.#store.read().catch(() => null);
      if (!stored) await this.#pause();
      else if (stored.record.generation === writer.generation) return;
      else this.#drop(writer);
    }
  }

  /** A new incarnation of this host: what it held under the old one has to be taken anew. */
  lose(): void {
    if (this.#writer) this.#drop(this.#writer);
  }

  /** Nobody is answered any more. */
  close(): void {
    this.#closed = true;
    this.lose();
  }

  /** The image is no more: whoever still wants something of it hears that. */
  end(): void {
    this.#gone = true;
    this.lose();
  }

  /** A peer wants the role: gives it, with everything equal and flushed. Answers whether it was given. */
  async release(asker: string, { incarnation }: ReleaseRequest): Promise<boolean> {
    // Two that ask one another would wait for one another.
    if (this.#asking) return false;
    // Whether this host has the role after a step, or is giving it to another asker, is known only then.
    if (this.#releasing) await this.#within(this.#releasing);
    // Whoever waits for the role being taken gets to use it once.
    if (this.#taking) await this.#within(succeeds(this.#taking));
    // What its holder before has left to do is not done, and the size that it had reached is not known.
    if (this.#taking || this.#releasing) return false;
    if (!this.#writer && (await this.#isRecorded())) {
      // Not for longer: by now the asker may be who has the role, and it answers nobody while it waits for this.
      await this.#within(succeeds(this.take('equalize', Number.POSITIVE_INFINITY)));
    }
    return this.#offer({ host: asker, incarnation });
  }

  /** Gives the role back, to nobody. Answers whether it was given. */
  async handBack(): Promise<boolean> {
    return this.#taking ? false : this.#offer(null);
  }

  async #offer(to: WriterRecord['holder']): Promise<boolean> {
    const writer = this.#writer;
    // What cannot be flushed now cannot be given: this host's own guests would wait for it as well.
    if (!writer || this.#releasing || writer.isStopped || this.#learning > 0) return false;
    this.#releasing = this.#release(writer, to).finally(() => {
      this.#releasing = null;
    });
    return this.#releasing;
  }

  async #release(writer: Writer, to: WriterRecord['holder']): Promise<boolean> {
    const isEqual = await this.#within(this.#equalizer?.all().then(() => true) ?? Promise.resolve(true));
    this.#settleOlder(writer);
    if (!isEqual || this.#learning > 0 || !writer.isOlderDone) return false;
    // What begins later would reach some copies only, and the next holder takes them for equal.
    writer.close();
    const given = await this.#giveTo(writer, to);
    writer.reopen();
    return given;
  }

  /** False where it takes longer than a hand-over may: the guests of this host wait for it. */
  #within(work: Promise<boolean>): Promise<boolean> {
    return new Promise((resolve) => {
      const cancel = this.#context.clock.after(HAND_OVER_MS, () => resolve(false));
      void work.then((done) => {
        cancel();
        resolve(done);
      });
    });
  }

  async #giveTo(writer: Writer, to: WriterRecord['holder']): Promise<boolean> {
    const handOver = new AbortController();
    const isClean = await this.#within(this.#clean(writer, handOver.signal));
    handOver.abort();
    if (!isClean) return false;
    const stored = await this.#store.read().catch(() => null);
    if (!stored) return false;
    if (stored.record.generation !== writer.generation) {
      this.#drop(writer);
      return false;
    }
    const next = { ...stored.record, generation: writer.generation + 1, holder: to, clean: true };
    const settled = await this.#options.settled().catch(() => null);
    const given = settled && (await this.#store.replace(next, stored.revision, settled).catch(() => null));
    // Whether it was stored is not known: it is found out by whoever takes the role next.
    if (given !== false) this.#drop(writer, given === true);
    return given === true;
  }

  /**
   * Flushes and retires until nothing of a closed writer may differ between copies; false where the role was lost, or it
   * was given up: whoever gives up has to say so, since the writer is used again.
   */
  async #clean(writer: Writer, givenUp?: AbortSignal): Promise<boolean> {
    while (!writer.stopped && !writer.isClean) {
      // What is done during the flush may be what the next one covers.
      const settled = writer.settles();
      if (!(await writer.flush(this.#options.chain())) || givenUp?.aborted) return false;
      writer.retire();
      if (!writer.isClean) await Promise.race([settled, this.#pause()]);
      if (givenUp?.aborted) return false;
    }
    return !writer.stopped;
  }

  /**
   * Holds the image's changes back under the role, for a change of its chain. With the generation of the step, handles
   * that were opened on the hosts of `ends` are dead. Null where the role was lost meanwhile, or somebody else is at it.
   * Throws FencedError, and what `refresh` throws where the image is gone.
   */
  async freeze(opened: number, ends: readonly string[] = []): Promise<FrozenRole | null> {
    const writer = await this.take('write', opened);
    // What is not equal may be asked about by nobody under the next generation.
    await this.#equalizer?.all();
    // Nor is it known what a snapshot would have of a group that has stopped: that may lose what it had not flushed.
    this.#settleOlder(writer);
    if (!writer.isOlderDone || writer.isStopped) return null;
    if (this.#releasing || this.#taking || writer.stopped) return null;
    const thaw = this.#holdBack(writer);
    const step = await this.#freeze(writer, ends).catch(() => null);
    if (!step) {
      thaw();
      return null;
    }
    return {
      ...step,
      advance: async () => {
        const isKnown = this.#thaw === thaw && (await this.#advance(writer));
        thaw();
        // Whoever takes the role fences, unless the generation after this one is known already.
        if (!isKnown) await this.take('equalize', Number.POSITIVE_INFINITY);
      },
      thaw: (unsure) => {
        if (unsure) this.#drop(writer);
        thaw();
      },
    };
  }

  /** Nobody takes the role or gives it until the answer is called, or it is lost. */
  #holdBack(writer: Writer): () => void {
    let resolve: (isGiven: boolean) => void;
    this.#releasing = new Promise((done) => {
      resolve = done;
    });
    const thaw = () => {
      if (this.#thaw !== thaw) return;
      this.#thaw = null;
      this.#releasing = null;
      writer.reopen();
      resolve(false);
    };
    this.#thaw = thaw;
    return thaw;
  }

  /** The role goes on under the generation that a step has stored; false: it has to be taken anew. */
  async #advance(writer: Writer): Promise<boolean> {
    this.#stop(writer, true);
    const incarnation = this.#context.incarnation();
    const isFresh = await this.#refresh();
    return isFresh && (await this.#beginAfterFence(writer.generation + 1, incarnation)) !== null;
  }

  async #freeze(writer: Writer, ends: readonly string[]): Promise<GenerationStep | null> {
    writer.close();
    if (this.#learning > 0 || !this.#equalizer?.isDone || !(await this.#clean(writer))) return null;
    const stored = await this.#store.read();
    if (stored.record.generation !== writer.generation) {
      this.#drop(writer);
      return null;
    }
    const generation = writer.generation + 1;
    const fenced = { ...stored.record.fenced };
    for (const host of ends) fenced[host] = generation;
    return this.#store.step({ ...stored.record, generation, fenced }, stored.revision);
  }

  /** Whether the store has this host as the holder, whatever it knows of it: an answer may have been lost. */
  async #isRecorded(): Promise<boolean> {
    const stored = await this.#store.read().catch(() => null);
    const holder = stored?.record.holder;
    return holder?.host === this.#context.host && holder.incarnation === this.#context.incarnation();
  }

  #drop(writer: Writer, clean = false): void {
    const isLost = this.#writer === writer;
    this.#stop(writer, clean);
    // A step would be refused by the store, once somebody has the role: nobody has to wait for that, least of all itself.
    if (isLost) this.#thaw?.();
  }

  #stop(writer: Writer, clean: boolean): void {
    writer.stop();
    if (this.#writer !== writer) return;
    this.#unflushed = !clean;
    this.#left = clean ? null : joined(this.#left, writer.unflushed);
    this.#writer = null;
    this.#equalizer = null;
  }

  /** Takes the role, and does what an earlier holder has left to do, before anybody uses it. */
  async #acquire(purpose: Purpose): Promise<void> {
    const writer = await this.#take(purpose);
    const equalizer = this.#equalizer;
    const equalized = async () => {
      await equalizer?.all();
      return !writer.stopped;
    };
    try {
      if (!writer.stopped) await this.#options.acquired(writer, equalized);
    } catch (error) {
      this.#drop(writer);
      throw error;
    }
  }

  async #take(purpose: Purpose): Promise<Writer> {
    const { host } = this.#context;
    for (;;) {
      this.checkThere();
      if (this.#closed) await new Promise(() => undefined);
      // A host that is not up asks nobody, and would take what it cannot use.
      const map = this.#context.map();
      const isReady = isUpWith(map, host, this.#context.incarnation()) && map.tables[this.#options.copies];
      if (!isReady) {
        await this.#context.pause();
        continue;
      }
      const stored = await this.#store.read().catch(() => null);
      if (!stored) {
        await this.#pause();
        continue;
      }
      const { record } = stored;
      // An image that is gone has no record: one that was made anew would stay, and others would ask its holder.
      if (stored.revision === 0 && !(await this.#refresh())) {
        await this.#pause();
        continue;
      }
      this.#fenced = record.fenced;
      this.#fencedBy = Math.max(this.#fencedBy, record.generation);
      const { holder } = record;
      const incarnation = this.#context.incarnation();
      const isOurs = holder?.host === host && holder.incarnation === incarnation;
      if (isOurs && record.clean) {
        // Given by its holder before us, and not used yet.
        if (await this.#claim({ ...record, clean: false }, stored.revision)) {
          return this.#begin(record.generation, incarnation, null, this.#context.map());
        }
      } else if (!holder && record.clean) {
        const next = { ...record, generation: record.generation + 1, holder: { host, incarnation }, clean: false };
        if (await this.#claim(next, stored.revision))
          return this.#begin(next.generation, incarnation, null, this.#context.map());
      } else if (holder && holder.host !== host && isUpWith(this.#context.map(), holder.host, holder.incarnation)) {
        const given = await this.#ask(holder.host, record.generation);
        // One that has gone meanwhile is asked no more.
        if (given || !isUpWith(this.#context.map(), holder.host, holder.incarnation)) continue;
        // It may also have nothing to give: whoever removed the image died before its writer's record was removed, too.
        await this.#refresh();
        await this.#pause();
      } else {
        const taken = await this.#takeByFence(stored.record, stored.revision, purpose);
        if (taken) return taken;
      }
    }
  }

  /** Stores this host as the holder; false where somebody else was faster, or that is not known. */
  async #claim(record: WriterRecord, revision: number): Promise<boolean> {
    // The host that it was taken from has it back.
    const isBack = record.owed === this.#context.host;
    if (isBack) this.#inherit();
    const owed = isBack ? null : record.owed;
    // A group may have lost meanwhile what an earlier process had told guests.
    const fenced = isBack && this.#hasLost() ? { ...record.fenced, [record.owed!]: record.generation } : record.fenced;
    const stored = await this.#store.replace({ ...record, fenced, owed }, revision).catch(() => false);
    this.#owed = owed;
    if (stored) this.#fenced = fenced;
    return stored && (await this.#refresh()) && this.#isStill(record.holder!.incarnation);
  }

  /** The image as it is with the generation that was stored; false: the store does not answer. Throws ESTALE. */
  #refresh(): Promise<boolean> {
    return isRefreshed(this.#options);
  }

  /** What was taken for an incarnation that is over is nobody's: it is taken again. */
  #isStill(incarnation: number): boolean {
    return !this.#closed && this.#context.incarnation() === incarnation;
  }

  async #ask(holder: string, generation: number): Promise<boolean> {
    const { vdi } = this.#options;
    const incarnation = this.#context.incarnation();
    const message = { type: 'release', vdi, generation, incarnation } as const;
    const { answer } = this.#context.inquiries.ask(holder, (request) => ({ ...message, request }), true);
    this.#asking = true;
    const reply = await answer;
    this.#asking = false;
    return (reply?.body as { released: boolean } | undefined)?.released === true;
  }

  /** Takes the role from whoever has it. Null where somebody else was faster. */
  async #takeByFence(record: WriterRecord, revision: number, purpose: Purpose): Promise<Writer | null> {
    const { host } = this.#context;
    const incarnation = this.#context.incarnation();
    if (record.holder?.host === host) this.#inherit();
    const next = recordAfterFence(record, { host, incarnation }, purpose, this.#hasLost());
    if (!(await this.#store.replace(next, revision).catch(() => false))) return null;
    this.#fenced = next.fenced;
    this.#owed = next.owed;
    if (!(await this.#refresh())) return null;
    return this.#beginAfterFence(next.generation, incarnation);
  }

  /** Asks all what may differ, once the generation is stored. Null where somebody else was faster. */
  async #beginAfterFence(generation: number, incarnation: number): Promise<Writer | null> {
    const found = await this.#fence.findings(generation, incarnation);
    if (!found || !this.#isStill(incarnation)) return null;
    const writer = this.#begin(generation, incarnation, found, found.map);
    // Maps that came meanwhile may have lost what had stopped by that one, or say whom else to ask.
    await this.prepare(this.#context.map());
    if (this.#writer !== writer) return null;
    this.mapAdopted(this.#context.map());
    return writer;
  }

  /** The role was an earlier process's, whose guests may have unflushed writes in any group. */
  #inherit(): void {
    const { adoptedAtStart } = this.#context;
    if (this.#served || adoptedAtStart === Number.POSITIVE_INFINITY) return;
    const table = this.#context.map().tables[this.#options.copies] ?? [];
    this.#left = joined(this.#left, { epoch: adoptedAtStart, pgs: [...table.keys()] });
  }

  /**
   * Whether a group has restarted, since the map that the process before this one went by, from a copy that may lack what
   * its guests wrote.
   */
  #hasLost(): boolean {
    const table = this.#context.map().tables[this.#options.copies] ?? [];
    return this.#writer === null && !this.#served && table.some(({ lossy }) => lossy > this.#context.adoptedAtStart);
  }

  /** `found` is what a fence has found, whose hosts were those of `map`; null where the role was given clean. */
  #begin(generation: number, incarnation: number, found: FenceFindings | null, map: ClusterMap): Writer {
    const { vdi, copies, chain } = this.#options;
    const writer = new Writer({
      ...{ vdi, copies, generation, incarnation, chain, unheard: found?.unheard ?? null },
      map,
      pgOf: (index) => this.#context.pgOf(chain().family, index),
      port: {
        nextRequest: () => this.#context.inquiries.nextRequest(),
        send: (disk, message) => this.#context.send(disk, message),
        fetchMap: (epoch) => this.#context.fetchMap(epoch),
        fenced: () => this.#drop(writer),
      },
    });
    this.#writer = writer;
    this.#served = true;
    if (found === null) this.#fence.skip();
    this.#equalizer = new Equalizer(writer, found?.unequal ?? [], chain, () => this.#pause());
    this.#equalizeAll(writer);
    return writer;
  }

  #pause(): Promise<void> {
    return pause(this.#context.clock, RETRY_MS);
  }
}

function succeeds(work: Promise<unknown>): Promise<boolean> {
  return work.then(
    () => true,
    () => false,
  );
}

/** The byte of the image up to which a change reaches. */
function endOf(index: number, change: Change): number {
  const start = index * OBJECT_BYTES;
  if (change.kind === 'write') return start + change.offset + change.data.length;
  // Others make no image longer.
  return change.kind === 'allocate' ? start + change.end : 0;
}

/** Both; by the older map. */
function joined(one: Unflushed | null, other: Unflushed): Unflushed {
  if (!one || one.pgs.length === 0) return other;
  return { epoch: Math.min(one.epoch, other.epoch), pgs: [...new Set([...one.pgs, ...other.pgs])] };
}
