import { OBJECT_BYTES } from '../../lib/replication/object-io.js';
import { Random } from '../helpers/random.js';
import { Guest } from './guest.js';
import { within } from './network-conditions.js';
import type { SimulatedHost } from './simulated-host.js';
import { SimulatedImage } from './simulated-image.js';
import type { World } from './world.js';

const IMAGES = 4;
const INDEXES = 4;
const FIRST_VDI = 16;
/** Guests that have an image open at the same time. */
const GUESTS_PER_IMAGE = 3;
const PLACES = IMAGES * GUESTS_PER_IMAGE;
const STOP_CHANCE = 0.003;
/** Before another guest is started in the place of one that ended, in milliseconds. */
const REPLACED_AFTER_MS = [1, 4000] as const;

interface Place {
  readonly image: SimulatedImage;
  readonly isReader: boolean;
  guest: Guest | null;
  emptyUntilMs: number;
}

/** Images of a simulated cluster and the guests that use them: they are started somewhere, stopped, and started elsewhere. */
export class Workload {
  readonly images: readonly SimulatedImage[];
  readonly #world: World;
  readonly #places: Place[];
  /** Those that still have something in flight. */
  readonly #guests = new Set<Guest>();
  readonly #forgiveLosses: boolean;

  /** @param forgiveLosses: guests whose unflushed writes may be lost end by themselves, without being told. */
  constructor(world: World, random: Random, forgiveLosses: boolean) {
    this.#world = world;
    this.#forgiveLosses = forgiveLosses;
    this.images = Array.from({ length: IMAGES }, (_, number) => new SimulatedImage(world, FIRST_VDI + number, INDEXES));
    this.#places = this.images.flatMap((image) => {
      // Some images are written by one guest at a time, some by two in turns.
      const writers = 1 + random.below(2);
      return Array.from({ length: GUESTS_PER_IMAGE }, (_, number) => {
        return { image, isReader: number >= writers, guest: null, emptyUntilMs: 0 };
      });
    });
    world.onReboot = (host) => this.#hostGone(host);
    world.onLossy = (copies, pg) => this.#lose(copies, pg);
  }

  /** The guest whose turn it is by this seed, as a number. */
  static placeOf(seed: number): number {
    return new Random(seed).below(PLACES);
  }

  /** Lets one of the guests do something; all that is chosen follows from the seed. */
  step(seed: number): void {
    const random = new Random(seed);
    const place = this.#places[random.below(PLACES)]!;
    if (place.guest?.isDead) {
      place.guest = null;
      place.emptyUntilMs = this.#world.scheduler.nowMs + within(random, REPLACED_AFTER_MS);
    }
    place.guest ??= this.#start(place, random);
    if (random.chance(STOP_CHANCE)) place.guest?.stop();
    else place.guest?.step(random);
  }

  /** What is not answered yet, in words. */
  get waitsFor(): string[] {
    for (const guest of this.#guests) if (guest.isDead && guest.isIdle) this.#guests.delete(guest);
    return [...this.#guests].map(({ waitsFor }) => waitsFor).filter((reason) => reason !== null);
  }

  #start({ image, isReader, emptyUntilMs }: Place, random: Random): Guest | null {
    const running = this.#world.hosts.filter(({ run }) => run !== null);
    if (running.length === 0 || this.#world.scheduler.nowMs < emptyUntilMs) return null;
    const host = running[random.below(running.length)]!;
    const guest = new Guest(this.#world, image, host, isReader);
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
        if (!this.#forgiveLosses || ![...losable].some(({ owner }) => owner === guest)) continue;
        this.#world.trace.note(guest.host.id, `vdi ${image.vdi}: unflushed writes may be lost`);
        guest.stop();
      }
    }
  }
}
