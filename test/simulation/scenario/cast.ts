import { OBJECT_BYTES } from '../../../lib/replication/object-io.js';
import { Guest, type GuestOperation } from '../guest.js';
import { ImageModel, WriteNumbers } from '../image-model.js';
import type { SimulatedHost } from '../simulated-host.js';
import { SimulatedImage } from '../simulated-image.js';
import type { World } from '../world.js';

/** The images and guests of a scenario, by the names that it gives them. */
export class Cast {
  readonly #world: World;
  readonly #numbers = new WriteNumbers();
  readonly #images = new Map<string, SimulatedImage>();
  readonly #guests = new Map<string, Guest>();

  constructor(world: World) {
    this.#world = world;
    world.onReboot = (host) => {
      for (const guest of this.#guests.values()) if (guest.host === host) guest.vanish();
    };
    world.onLossy = (copies, pg) => this.#lose(copies, pg);
    for (const host of world.hosts) host.isOpen = (vdi) => this.#isOpen(host, vdi);
  }

  get images(): readonly SimulatedImage[] {
    return [...this.#images.values()];
  }

  /** What is not answered yet, in words. */
  get waitsFor(): string[] {
    return [...this.#guests.values()].map(({ waitsFor }) => waitsFor).filter((reason) => reason !== null);
  }

  async makeImage(name: string, copies: number, indexes: number): Promise<void> {
    const run = await this.#world.hosts[0]!.running();
    const size = indexes * OBJECT_BYTES;
    const { id: vdi } = await run.vdis.create(name, { size, mode: 0o600, uid: 0, gid: 0, copies });
    const model = new ImageModel(this.#numbers);
    this.#images.set(name, new SimulatedImage(this.#world, { vdi, name, copies, indexes, model }));
  }

  async shrink(name: string, size: number, host: SimulatedHost): Promise<void> {
    const image = this.#image(name);
    const cut = image.model.beginCut(this, size);
    await (await image.on(await host.running())).resize(size);
    image.model.settle(cut);
    this.#world.trace.note(host.id, `vdi ${image.vdi}: is shrunk to ${size}`);
  }

  async snapshot(name: string, tag: string, host: SimulatedHost): Promise<void> {
    const image = this.#image(name);
    const captured = image.model.capture();
    const { id: vdi } = await (await host.running()).vdis.snapshot(name, tag);
    image.snapshots.push({ tag, vdi, model: new ImageModel(this.#numbers, captured()) });
    this.#world.trace.note(host.id, `vdi ${image.vdi}: has snapshot ${tag}`);
  }

  async deleteSnapshot(name: string, tag: string, host: SimulatedHost): Promise<void> {
    const image = this.#image(name);
    image.snapshots.splice(
      image.snapshots.findIndex((each) => each.tag === tag),
      1,
    );
    await (await host.running()).vdis.deleteSnapshot(name, tag);
    this.#world.trace.note(host.id, `vdi ${image.vdi}: has no snapshot ${tag} any more`);
  }

  #image(name: string): SimulatedImage {
    const image = this.#images.get(name);
    if (!image) throw new Error(`there is no image ${name}`);
    return image;
  }

  open(name: string, imageName: string, host: SimulatedHost): void {
    const image = this.#image(imageName);
    const note = (what: string) => this.#world.trace.note(host.id, `vdi ${image.vdi}: ${what}`);
    const onRead = (shown: string) => note(`${name} reads ${shown}`);
    const guest = new Guest(this.#world, image, host, { isReader: false, isLocked: false, onRead });
    this.#guests.set(name, guest);
  }

  begin(name: string, operation: GuestOperation): void {
    this.#guest(name).begin(operation);
  }

  end(name: string): void {
    this.#guest(name).stop();
  }

  #guest(name: string): Guest {
    const guest = this.#guests.get(name);
    if (!guest) throw new Error(`there is no guest ${name}`);
    return guest;
  }

  #isOpen(host: SimulatedHost, vdi: number): boolean {
    return [...this.#guests.values()].some((guest) => {
      return guest.host === host && guest.image.vdi === vdi && !(guest.isDead && guest.isIdle);
    });
  }

  #lose(copies: number, pg: number): void {
    for (const image of this.images) {
      if (image.copies !== copies) continue;
      image.model.lose((offset) => image.pgOf(Math.floor(offset / OBJECT_BYTES)) === pg);
      for (const guest of this.#guests.values()) if (guest.image === image) guest.noteLoss();
    }
  }
}
