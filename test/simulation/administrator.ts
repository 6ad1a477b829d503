import { OBJECT_BYTES } from '../../lib/replication/object-io.js';
import { KEY } from '../../lib/vdi/records.js';
import type { Random } from '../helpers/random.js';
import { type Candidates, ImageModel, type WriteNumbers } from './image-model.js';
import type { Run, SimulatedHost } from './simulated-host.js';
import { SimulatedImage, type SimulatedSnapshot } from './simulated-image.js';
import { SECTOR_BYTES } from './stamps.js';
import type { World } from './world.js';

/** Images that there are at the same time, and snapshots of one. */
export const IMAGES_MAX = 7;
const IMAGES_MIN = 3;
const SNAPSHOTS_MAX = 3;
const SNAPSHOT_READ_BYTES = 64 * 1024;
/** After what may still happen although whoever asked for it is dead, nothing of it can happen any more. */
const LATE_MS = 60_000;

/** What the administrator knows of the guests. */
export interface Guests {
  /** Nobody reads or writes the image at this moment. */
  isQuiet(image: SimulatedImage): boolean;
  /** Guests may use the image from now on. */
  added(image: SimulatedImage): void;
  /** No guest has the image any more. */
  removed(image: SimulatedImage): void;
}

/**
 * Makes images, clones and snapshots, sets sizes, rolls back and deletes, on hosts that may die over it: then it may have
 * been done, or not.
 */
export class Administrator {
  readonly images: SimulatedImage[] = [];
  readonly #world: World;
  readonly #numbers: WriteNumbers;
  readonly #guests: Guests;
  #made = 0;
  readonly #running = new Map<object, string>();

  constructor(world: World, numbers: WriteNumbers, guests: Guests) {
    this.#world = world;
    this.#numbers = numbers;
    this.#guests = guests;
  }

  get isIdle(): boolean {
    return this.#running.size === 0;
  }

  /** What is under way, in words. */
  get waitsFor(): string[] {
    return [...this.#running.values()];
  }

  /** Makes an image; to be called while nothing goes wrong. */
  async create(copies: number, indexes: number, random: Random): Promise<void> {
    const name = `image${++this.#made}`;
    const run = await this.#world.hosts[this.#made % this.#world.hosts.length]!.running();
    // Some are written beyond their end, and grow.
    const size = random.chance(0.5) ? indexes * OBJECT_BYTES : random.below(indexes) * OBJECT_BYTES;
    const { id: vdi } = await run.vdis.create(name, { size, mode: 0o600, uid: 0, gid: 0, copies });
    this.#add(new SimulatedImage(this.#world, { vdi, name, copies, indexes, model: new ImageModel(this.#numbers) }));
  }

  /** Begins something, if it may; all that is chosen comes from `random`. */
  step(random: Random): void {
    const running = this.#world.hosts.filter(({ run }) => run !== null);
    const host = running[random.below(running.length)];
    const image = this.images[random.below(this.images.length)];
    if (!host || !image || image.isBusy) return;
    const dice = random.next();
    const snapshot = image.snapshots[random.below(image.snapshots.length)];
    const from = random.chance(0.5) ? snapshot : undefined;
    const part = random.next();
    if (snapshot && random.chance(0.4)) {
      this.#readLater(host, image, snapshot, random.next());
      return;
    }
    if (dice < 0.25 && image.snapshots.length < SNAPSHOTS_MAX) this.#begin(host, image, 'snapshot', this.#snapshot);
    else if (dice < 0.45 && this.images.length < IMAGES_MAX)
      this.#begin(host, image, 'clone', (run) => this.#clone(run, image, from));
    else if (dice < 0.6 && snapshot) {
      this.#begin(host, image, `delete snapshot ${snapshot.tag}`, (run) => this.#deleteSnapshot(run, image, snapshot));
    } else if (dice < 0.7 && snapshot && this.#guests.isQuiet(image)) {
      this.#begin(host, image, `roll back to ${snapshot.tag}`, (run) => this.#rollBack(run, image, snapshot));
    } else if (dice < 0.8 && this.#guests.isQuiet(image)) {
      this.#begin(host, image, 'shrink', (run) => this.#shrink(run, image, part));
    } else if (dice < 0.9) this.#begin(host, image, 'grow', (run) => this.#grow(run, image, part));
    else if (
      image.snapshots.length === 0 &&
      !image.isUnsure &&
      this.images.length > IMAGES_MIN &&
      this.#guests.isQuiet(image)
    ) {
      this.#begin(host, image, 'delete', this.#delete);
    }
  }

  #begin(
    host: SimulatedHost,
    image: SimulatedImage,
    what: string,
    work: (run: Run, image: SimulatedImage) => Promise<void>,
  ): void {
    const run = host.run!;
    const token = {};
    image.isBusy = true;
    this.#running.set(token, `${what} of ${image.name} on ${host.id}`);
    this.#note(host, image, what);
    const done = work.call(this, run, image).then(() => 'done' as const);
    Promise.race([done, run.ended])
      .then(async (ended) => {
        if (ended === null) await this.#late(host, image, what);
        else this.#note(host, image, `${what} is done`);
        image.isBusy = false;
        image.isHeld = false;
      })
      .catch((error) => {
        this.#world.defect(host.id, new Error(`${what} of ${image.name}: ${error.message}`, { cause: error }));
      })
      .finally(() => this.#running.delete(token));
  }

  /** Whoever did it is dead: what it had asked of the store may still be carried out. */
  async #late(host: SimulatedHost, image: SimulatedImage, what: string): Promise<void> {
    this.#note(host, image, `${what} may have been done or not`);
    image.isUnsure = true;
    await new Promise<void>((resolve) => this.#world.scheduler.after(LATE_MS, resolve));
  }

  /** Looks at a part of a snapshot. */
  #readLater(host: SimulatedHost, image: SimulatedImage, snapshot: SimulatedSnapshot, part: number): void {
    const run = host.run!;
    const token = {};
    this.#running.set(token, `read of snapshot ${snapshot.tag} of ${image.name} on ${host.id}`);
    Promise.race([this.#readSnapshot(run, snapshot, part), run.ended])
      .catch((error) => {
        // It is deleted while it is looked at.
        if (error.code === 'ESTALE' && !image.snapshots.includes(snapshot)) return;
        const what = `snapshot ${snapshot.tag} of ${image.name} on ${host.id}`;
        this.#world.defect(host.id, new Error(`${what}: ${error.message}`, { cause: error }));
      })
      .finally(() => this.#running.delete(token));
  }

  async #readSnapshot(run: Run, { vdi, model }: SimulatedSnapshot, part: number): Promise<void> {
    const ranges = model.writtenRanges();
    const range = ranges[Math.floor(part * ranges.length)];
    if (!range) return;
    const length = Math.min(SNAPSHOT_READ_BYTES, range.end - range.start);
    const opened = await run.vdis.load(vdi);
    const check = model.beginRead(null, range.start, length);
    const data = Buffer.allocUnsafe(length);
    // What lies beyond the end counts as zeros.
    check(data.fill(0, await opened.read(range.start, data)));
  }

  async #snapshot(run: Run, image: SimulatedImage): Promise<void> {
    const tag = `s${++this.#made}`;
    const captured = image.model.capture();
    const { id: vdi } = await run.vdis.snapshot(image.name, tag);
    image.snapshots.push({ tag, vdi, model: new ImageModel(this.#numbers, captured()) });
  }

  async #clone(run: Run, image: SimulatedImage, snapshot: SimulatedSnapshot | undefined): Promise<void> {
    const name = `image${++this.#made}`;
    const captured = (snapshot?.model ?? image.model).capture();
    const { id: vdi } = await run.vdis.clone(image.name, name, snapshot?.tag ?? null);
    const { copies, indexes } = image;
    const model = new ImageModel(this.#numbers, captured());
    this.#add(new SimulatedImage(this.#world, { vdi, name, copies, indexes, model }));
  }

  async #deleteSnapshot(run: Run, image: SimulatedImage, snapshot: SimulatedSnapshot): Promise<void> {
    // Whether or not it comes to that: nobody looks at it again.
    image.snapshots.splice(image.snapshots.indexOf(snapshot), 1);
    await run.vdis.deleteSnapshot(image.name, snapshot.tag);
  }

  async #rollBack(run: Run, image: SimulatedImage, { tag, model }: SimulatedSnapshot): Promise<void> {
    image.isHeld = true;
    const candidates: Candidates = model.capture()();
    image.model.mayBecome(candidates);
    await run.vdis.rollBack(image.name, tag);
    image.model.become(candidates);
  }

  async #shrink(run: Run, image: SimulatedImage, part: number): Promise<void> {
    image.isHeld = true;
    const vdi = await image.on(run);
    const { size } = await vdi.current();
    const sectors = Math.floor(size / SECTOR_BYTES);
    const target = Math.floor(part * (sectors + 1)) * SECTOR_BYTES;
    const cut = image.model.beginCut(this, target);
    await vdi.resize(target);
    image.model.settle(cut);
  }

  async #grow(run: Run, image: SimulatedImage, part: number): Promise<void> {
    await (await image.on(run)).grow(Math.floor(part * (image.indexes + 1)) * OBJECT_BYTES);
  }

  async #delete(run: Run, image: SimulatedImage): Promise<void> {
    image.isHeld = true;
    this.images.splice(this.images.indexOf(image), 1);
    this.#guests.removed(image);
    await run.vdis.unlink(image.name);
    if (this.#world.store.peek(KEY.vdi(image.vdi))) throw new Error('it is deleted, and there still');
  }

  #add(image: SimulatedImage): void {
    this.images.push(image);
    this.#guests.added(image);
  }

  #note(host: SimulatedHost, image: SimulatedImage, what: string): void {
    this.#world.trace.note(host.id, `vdi ${image.vdi}: ${what}`);
  }
}
