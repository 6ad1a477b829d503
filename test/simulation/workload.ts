import { OBJECT_BYTES } from '../../lib/replication/object-io.js';
import { Random } from '../helpers/random.js';
import { Administrator, IMAGES_MAX } from './administrator.js';
import { Guest } from './guest.js';
import { WriteNumbers } from './image-model.js';
import { within } from './network-conditions.js';
import type { SimulatedHost } from './simulated-host.js';
import type { SimulatedImage } from './simulated-image.js';
import type { World } from './world.js';

/** Images that there are at first. */
const IMAGES = 4;
const INDEXES = 4;
/** Guests that have an image open at the same time. */
const GUESTS_PER_IMAGE = 3;
const PLACES = IMAGES_MAX * GUESTS_PER_IMAGE;
const STOP_CHANCE = 0.003;
/** Before another guest is started in the place of one that ended, in milliseconds. */
const REPLACED_AFTER_MS = [1, 4000] as const;
/** Of the turns of guests, those that the administrator has one as well, unless a run says otherwise. */
export const ADMINISTRATION_DEFAULT = 0.01;

interface Place {
  readonly image: SimulatedImage;
  readonly isReader: boolean;
  readonly isLocked: boolean;
  guest: Guest | null;
  emptyUntilMs: number;
}

export interface WorkloadOptions {
  /** Guests whose unflushed writes may be lost end by themselves, without being told. */
  forgiveLosses: boolean;
  /** Of turns, those in which images are cloned, cut, deleted and so on; 0: none. */
  administration: number;
}

/** Images of a simulated cluster and the guests that use them: they are started somewhere, stopped, and started elsewhere. */
export class Workload {
  readonly #world: World;
  readonly #administrator: Administrator;
  readonly #places: Place[] = [];
  /** Those that still have something in flight. */
  readonly #guests = new Set<Guest>();
  readonly #options: WorkloadOptions;

  constructor(world: World, random: Random, options: WorkloadOptions) {
    this.#world = world;
    this.#options = options;
    this.#administrator = new Administrator(world, new WriteNumbers(), {
      isQuiet: (image) => this.#guestsOf(image).every(({ isIdle }) => isIdle),
      added: (image) => this.#open(image, random),
      removed: (image) => this.#close(image),
    });
    world.eachHost((host) => {
      host.isOpen = (vdi) => {
        return [...this.#guests].some((guest) => {
          return guest.host === host && guest.image.vdi === vdi && !(guest.isDead && guest.isIdle);
        });
      };
    });
    world.onReboot = (host) => this.#hostGone(host);
    world.onLossy = (copies, pg) => this.#lose(copies, pg);
  }

  /** Makes the first images; to be awaited while nothing goes wrong. */
  async start(copies: readonly number[], random: Random): Promise<void> {
    for (let number = 0; number < IMAGES; number++) {
      await this.#administrator.create(copies[number % copies.length]!, INDEXES, random);
    }
  }

  get images(): readonly SimulatedImage[] {
    return this.#administrator.images;
  }

  #open(image: SimulatedImage, random: Random): void {
    // Some images are written by one guest at a time, some by two in turns.
    const writers = 1 + random.below(2);
    // Of some, as qemu does, only by whoever has its lock.
    const isLocked = random.chance(0.4);
    for (let number = 0; number < GUESTS_PER_IMAGE; number++) {
      const isReader = number >= writers;
      this.#places.push({ image, isReader, isLocked: isLocked && !isReader, guest: null, emptyUntilMs: 0 });
    }
  }

  #close(image: SimulatedImage): void {
    for (const place of this.#places.filter((each) => each.image === image)) {
      place.guest?.stop();
      if (place.guest) this.#guests.delete(place.guest);
      this.#places.splice(this.#places.indexOf(place), 1);
    }
  }

  #guestsOf(image: SimulatedImage): Guest[] {
    return [...this.#guests].filter((guest) => guest.image === image);
  }

  /** The guest whose turn it is by this seed, as a number; with fewer guests, modulo how many they are. */
  static placeOf(seed: number): number {
    return new Random(seed).below(PLACES);
  }

  /** Lets one of the guests do something, and the administrator at times; all that is chosen follows from the seed. */
  step(seed: number): void {
    const random = new Random(seed);
    const place = this.#places[random.below(PLACES) % this.#places.length]!;
    const { administration } = this.#options;
    if (administration > 0 && random.chance(administration)) this.#administrator.step(random);
    if (place.guest?.isDead) {
      place.guest = null;
      place.emptyUntilMs = this.#world.scheduler.nowMs + within(random, REPLACED_AFTER_MS);
    }
    place.guest ??= this.#start(place, random);
    if (random.chance(STOP_CHANCE)) place.guest?.stop();
    else place.guest?.step(random);
  }

  /** Whether all is answered. */
  get isIdle(): boolean {
    for (const guest of this.#guests) {
      if (!guest.isIdle) return false;
      if (guest.isDead) this.#guests.delete(guest);
    }
    return this.#administrator.isIdle;
  }

  /** What is not answered yet, in words. */
  get waitsFor(): string[] {
    for (const guest of this.#guests) if (guest.isDead && guest.isIdle) this.#guests.delete(guest);
    const guests = [...this.#guests].map(({ waitsFor }) => waitsFor).filter((reason) => reason !== null);
    return [...guests, ...this.#administrator.waitsFor];
  }

  #start({ image, isReader, isLocked, emptyUntilMs }: Place, random: Random): Guest | null {
    const running = this.#world.hosts.filter(({ run }) => run !== null);
    if (running.length === 0 || image.isHeld || this.#world.scheduler.nowMs < emptyUntilMs) return null;
    const host = running[random.below(running.length)]!;
    const guest = new Guest(this.#world, image, host, { isReader, isLocked });
    this.#guests.add(guest);
    this.#world.trace.note(host.id, `vdi ${image.vdi}: ${isReader ? 'reading ' : ''}guest starts`);
    return guest;
  }

  #hostGone(host: SimulatedHost): void {
    for (const guest of this.#guests) if (guest.host === host) guest.vanish();
  }

  #lose(copies: number, pg: number): void {
    for (const image of this.images) {
      if (image.copies !== copies) continue;
      const losable = image.model.lose((offset) => image.pgOf(Math.floor(offset / OBJECT_BYTES)) === pg);
      for (const guest of this.#guests) {
        if (guest.image !== image) continue;
        guest.noteLoss();
        if (!this.#options.forgiveLosses || ![...losable].some(({ owner }) => owner === guest)) continue;
        this.#world.trace.note(guest.host.id, `vdi ${image.vdi}: unflushed writes may be lost`);
        guest.stop();
      }
    }
  }
}
