import { OBJECT_BYTES } from '../../lib/replication/object-io.js';
import { NoSpaceError } from '../../lib/replication/space-guard.js';
import type { Random } from '../helpers/random.js';
import { GuestLock } from './guest-lock.js';
import type { ModelWrite } from './sector-history.js';
import type { Run, SimulatedHost } from './simulated-host.js';
import type { SimulatedImage } from './simulated-image.js';
import { describeStamps, SECTOR_BYTES, stampedData } from './stamps.js';
import type { World } from './world.js';

/** Operations that a guest has in flight, at most. */
const IN_FLIGHT_MAX = 4;
/** Of an object, where guests write, so that writes meet. */
const SPOTS = [0, 64 * 1024, 256 * 1024, 960 * 1024];
/** Of an image's last object, which is as long as one can be: that costs time wherever copies are compared. */
const SPOTS_OF_LAST = [0, 64 * 1024, 2 * 1024 * 1024, OBJECT_BYTES - 64 * 1024];
const SPOT_SECTORS = 24;
const SMALL_SECTORS = 8;
/** 160 KiB, over several of the blocks that are compared; and 1 MiB, which costs as much as a hundred small ones. */
const LARGE_SECTORS = 320;
const LARGE_CHANCE = 0.02;
const HUGE_SECTORS = 2048;
const HUGE_CHANCE = 0.001;

const SERVED = 'a handle is served that another host has taken the image from';

/** The request will never be answered: its process is gone. */
class Unanswered extends Error {}

interface Range {
  readonly index: number;
  /** Within the object. */
  readonly offset: number;
  readonly length: number;
}

export interface GuestOptions {
  isReader: boolean;
  /** It uses the image under the image's lock only. */
  isLocked: boolean;
  /** Gets in words what a read has shown. */
  onRead?(shown: string): void;
}

export type GuestOperation = { readonly kind: 'flush' } | ({ readonly kind: 'read' | Changing } & Range);
type Changing = 'write' | 'discard' | 'allocate';

/**
 * A virtual machine that has an image open on one host, until it is stopped, its host is gone, or it has lost its right to
 * the image.
 */
export class Guest {
  readonly image: SimulatedImage;
  readonly host: SimulatedHost;
  readonly #world: World;
  readonly #isReader: boolean;
  readonly #onRead: ((shown: string) => void) | null;
  /** The generation that the image had when the guest opened it. */
  readonly #opened: number;
  #inFlight = 0;
  #isDead = false;
  /** Its process and its kernel are gone. */
  #isGone = false;
  /** Writes in flight: a guest does not write to the same place twice at a time. */
  readonly #writing = new Set<ModelWrite>();
  /** A group of the image restarted from a copy that may lack what this guest wrote and did not flush. */
  #mayHaveLost = false;

  /** Of the image, where it is used under a lock. */
  readonly #lock: GuestLock | null;

  constructor(world: World, image: SimulatedImage, host: SimulatedHost, options: GuestOptions) {
    this.#world = world;
    this.image = image;
    this.host = host;
    this.#isReader = options.isReader;
    this.#onRead = options.onRead ?? null;
    this.#lock = options.isLocked ? new GuestLock(world, image, host) : null;
    this.#opened = image.writer.generation;
  }

  get isIdle(): boolean {
    // Of what is gone with its host nobody waits for an answer.
    return this.#inFlight === 0 || this.#isGone;
  }

  /** Whether it does nothing more. */
  get isDead(): boolean {
    return this.#isDead;
  }

  /** What keeps the guest from being idle, in words. */
  get waitsFor(): string | null {
    return this.isIdle ? null : `${this.#inFlight} requests to vdi ${this.image.vdi} on ${this.host.id}`;
  }

  /** It is stopped, as by kill -9: what it has in flight goes on for as long as its host's worker lives. */
  stop(): void {
    if (this.#isDead) return;
    this.#isDead = true;
    this.#note('guest ends');
    if (this.isIdle) this.#close();
  }

  /** As the kernel does when the last of its process is gone. */
  #close(): void {
    this.#lock?.release();
    this.host.closed(this.image.vdi);
  }

  /** Its host is gone: what it has in flight may have been done or not. */
  vanish(): void {
    this.stop();
    this.#isGone = true;
    this.#lock?.vanish();
    for (const write of this.#writing) this.image.model.end(write);
  }

  /** A group has lost what was not flushed, and this guest may have written there. */
  noteLoss(): void {
    this.#mayHaveLost = true;
  }

  /** Begins one more operation if it may; which one, `random` says. */
  step(random: Random): void {
    if (this.#isDead || this.#inFlight >= IN_FLIGHT_MAX || !this.host.run || this.image.isHeld) return;
    if (this.#lock && this.#lock.state !== 'held') {
      if (this.#lock.state === 'none') this.#track(this.#takeLock(this.#lock));
      return;
    }
    this.begin(this.#choose(random));
  }

  #choose(random: Random): GuestOperation {
    const dice = random.next();
    if (this.#isReader || dice < 0.35) return { kind: 'read', ...this.#range(random) };
    if (dice < 0.8) return { kind: 'write', ...this.#range(random) };
    if (dice >= 0.86) return { kind: 'flush' };
    const kind = dice < 0.85 ? 'discard' : 'allocate';
    const isWhole = kind === 'allocate' || random.chance(0.3);
    const range = this.#range(random);
    return { kind, ...range, ...(isWhole && { offset: 0, length: OBJECT_BYTES }) };
  }

  begin(operation: GuestOperation): void {
    const { kind } = operation;
    if (kind === 'flush') this.#track(this.flush());
    else if (kind === 'read') this.#track(this.#read(operation));
    else this.#track(this.#change(kind, operation));
  }

  /** Makes what it wrote durable. */
  async flush(): Promise<void> {
    const { image, host } = this;
    const flushed = image.model.beginFlush(({ owner, losable }) => {
      // What another one wrote that has lost the image may have been lost since with nobody to tell.
      if (owner === this || losable || !(owner instanceof Guest)) return owner === this;
      return owner.host === host && !owner.#isGone && !owner.#isFenced;
    });
    await this.#request(async (run) => (await image.on(run)).flush(true, this.#opened));
    if (this.#isGone) return;
    flushed();
    this.#note('flushed');
  }

  #track(operation: Promise<void>): void {
    this.#inFlight++;
    operation
      .catch((error) => this.#failed(error))
      .finally(() => {
        this.#inFlight--;
        if (this.#isDead && !this.#isGone && this.isIdle) this.#close();
      });
  }

  async #takeLock(lock: GuestLock): Promise<void> {
    if (await this.#request((run) => lock.take(run))) return;
    this.#note('the image is locked');
    this.stop();
  }

  #failed(error: unknown): void {
    if (error instanceof Unanswered) return;
    const isRefused = (error as { code?: unknown }).code === 'EIO';
    if (isRefused && (this.#isFenced || this.#mayHaveLost)) {
      if (!this.#isDead) this.#note('is told EIO');
      this.stop();
      return;
    }
    // It was refused, and done by nobody, unless an earlier holder of the role had begun.
    if (error instanceof NoSpaceError && this.#mayLackRoom) {
      this.#note('no space');
      return;
    }
    const { message } = error as Error;
    const wrapped = new Error(`vdi ${this.image.vdi} on ${this.host.id}: ${message}`, { cause: error });
    this.#world.defect(this.host.id, wrapped);
  }

  /** Of disks elsewhere a host knows by the map. */
  get #mayLackRoom(): boolean {
    const { run } = this.host;
    if (run?.disks.some(({ space }) => space.state === 'full')) return true;
    const maps = [this.#world.map, run?.cluster.follower.map];
    return maps.some((map) => Object.values(map?.disks ?? {}).some(({ room }) => room === 'none'));
  }

  /** Another host took the image over and has written since: nothing that begins now is done, nor a read answered. */
  get #isOver(): boolean {
    return this.#isFenced && this.image.writtenBy >= this.image.writer.fenced[this.host.id]!;
  }

  get #isFenced(): boolean {
    return (this.image.writer.fenced[this.host.id] ?? 0) > this.#opened;
  }

  async #read({ index, offset, length }: Range): Promise<void> {
    const { image } = this;
    const check = image.model.beginRead(this, index * OBJECT_BYTES + offset, length);
    const start = index * OBJECT_BYTES + offset;
    const isOver = this.#isOver;
    const data = await this.#request(async (run) => {
      const target = Buffer.allocUnsafe(length);
      const bytes = await (await image.on(run)).read(start, target, this.#opened);
      if (isOver && bytes > 0) throw new Error(SERVED);
      // What lies beyond the end counts as zeros.
      return target.fill(0, bytes);
    });
    if (this.#isGone) return;
    check(data);
    this.#onRead?.(describeStamps(data, start));
  }

  async #change(kind: Changing, { index, offset, length }: Range): Promise<void> {
    const { image } = this;
    const { model, vdi } = image;
    const start = index * OBJECT_BYTES + offset;
    for (const other of this.#writing) {
      if (other.offset < start + length && start < other.offset + other.length) return;
    }
    if (kind === 'allocate') {
      return this.#request(async (run) => {
        await (await image.on(run)).allocate(start, OBJECT_BYTES, true, this.#opened);
      });
    }
    const write = model.begin(this, start, length, kind === 'discard');
    this.#writing.add(write);
    this.#note(`${kind} ${write.number} of ${index}+${offset} ${length}, vdi ${vdi}`);
    const data = kind === 'write' ? stampedData(write.number, start, length) : null;
    const isOver = this.#isOver;
    try {
      await this.#request(async (run) => {
        const opened = await image.on(run);
        if (data === null) await opened.discard(start, length, this.#opened);
        else await opened.write(start, data, this.#opened);
      });
      if (this.#isGone) return;
      if (isOver && kind === 'write') throw new Error(SERVED);
      const { holder, generation } = image.writer;
      if (holder?.host === this.host.id) image.writtenBy = generation;
      const adopted = this.host.run?.cluster.follower.map.epoch ?? 0;
      model.acknowledge(write, this.#world.lossyOf(image.copies, image.pgOf(index)) > adopted);
      this.#note(`${kind} ${write.number} is done`);
    } finally {
      model.end(write);
      this.#writing.delete(write);
    }
  }

  /** The kernel sends a request again to the next worker of its host. */
  async #request<T>(request: (run: Run) => Promise<T>): Promise<T> {
    for (;;) {
      if (this.#isGone) throw new Unanswered();
      const run = await this.host.running();
      if (this.#isGone) throw new Unanswered();
      const result = await Promise.race([request(run).then((value) => ({ value })), run.ended]);
      if (result) {
        this.#lock?.check();
        return result.value;
      }
      if (this.#isDead) throw new Unanswered();
    }
  }

  #range(random: Random): Range {
    const index = random.below(this.image.indexes);
    const spots = index === this.image.indexes - 1 ? SPOTS_OF_LAST : SPOTS;
    const offset = spots[random.below(spots.length)]! + random.below(SPOT_SECTORS) * SECTOR_BYTES;
    const dice = random.next();
    const size = dice < HUGE_CHANCE ? HUGE_SECTORS : dice < LARGE_CHANCE ? LARGE_SECTORS : SMALL_SECTORS;
    const most = Math.min(size, (OBJECT_BYTES - offset) / SECTOR_BYTES);
    return { index, offset, length: (1 + random.below(most)) * SECTOR_BYTES };
  }

  #note(what: string): void {
    this.#world.trace.note(this.host.id, `vdi ${this.image.vdi}: ${what}`);
  }
}
