import type { Chain } from '../../lib/replication/object-io.js';
import { OBJECT_BYTES } from '../../lib/replication/object-io.js';
import type { ImageOptions } from '../../lib/replication/replica-host.js';
import { FencedError } from '../../lib/replication/role.js';
import type { Random } from '../helpers/random.js';
import { ImageModel } from './image-model.js';
import type { Run, SimulatedHost } from './simulated-host.js';
import { SECTOR_BYTES, stampedData } from './stamps.js';
import type { World } from './world.js';

/** Operations that a guest has in flight, at most. */
const IN_FLIGHT_MAX = 4;
/** Of an object, where guests write: its ends and something between, so that writes meet. */
const SPOTS = [0, 64 * 1024, 2 * 1024 * 1024, OBJECT_BYTES - 64 * 1024];

/** An image of the simulated cluster, and what it may show. */
export class SimulatedImage {
  readonly vdi: number;
  readonly chain: Chain;
  readonly copies: number;
  readonly indexes: number;
  readonly model = new ImageModel();
  readonly options: ImageOptions;

  constructor(vdi: number, copies: number, indexes: number) {
    this.vdi = vdi;
    this.copies = copies;
    this.indexes = indexes;
    this.chain = { family: vdi, layers: [{ layer: 1, limit: 0 }] };
    this.options = { vdi, copies, chain: () => this.chain };
  }
}

/** A virtual machine that reads and writes an image, on one host until that or its worker's right to the image is gone. */
export class Guest {
  readonly image: SimulatedImage;
  readonly host: SimulatedHost;
  readonly #world: World;
  readonly #random: Random;
  readonly #readOnly: boolean;
  #inFlight = 0;
  #dead = false;
  /** Ranges of its writes in flight: a guest does not write to the same place twice at a time. */
  readonly #writing = new Set<{ start: number; end: number }>();

  constructor(world: World, image: SimulatedImage, host: SimulatedHost, random: Random, readOnly: boolean) {
    this.#world = world;
    this.image = image;
    this.host = host;
    this.#random = random;
    this.#readOnly = readOnly;
  }

  get isIdle(): boolean {
    return this.#inFlight === 0;
  }

  /** What keeps the guest from being idle, in words. */
  get waitsFor(): string | null {
    return this.isIdle ? null : `${this.#inFlight} requests to vdi ${this.image.vdi} on ${this.host.id}`;
  }

  get isDead(): boolean {
    return this.#dead;
  }

  /** The machine stops, as when its host loses power: what it has in flight may have been done or not. */
  die(): void {
    this.#dead = true;
  }

  /** Begins one more operation if it may. Answers whether it did. */
  step(): boolean {
    if (this.#dead || this.#inFlight >= IN_FLIGHT_MAX || !this.host.run) return false;
    this.#inFlight++;
    this.#operate()
      .catch((error) => {
        if (error instanceof FencedError) this.die();
        else if (!this.#dead) this.#world.defect(this.host.id, error);
      })
      .finally(() => {
        this.#inFlight--;
      });
    return true;
  }

  async #operate(): Promise<void> {
    const dice = this.#random.next();
    if (this.#readOnly || dice < 0.35) return this.#read();
    if (dice < 0.85) return this.#write(false);
    if (dice < 0.9) return this.#write(true);
    return this.#flush();
  }

  async #read(): Promise<void> {
    const { index, offset, length } = this.#range();
    const start = index * OBJECT_BYTES + offset;
    const check = this.image.model.beginRead(start, length);
    const data = await this.#retried((run) => run.cluster.replica.read(this.image.options, index, offset, length));
    if (this.#dead) return;
    check(data);
  }

  async #write(discard: boolean): Promise<void> {
    const { index, offset, length } = this.#range();
    const start = index * OBJECT_BYTES + offset;
    const range = { start, end: start + length };
    for (const other of this.#writing) if (other.start < range.end && range.start < other.end) return;
    this.#writing.add(range);
    const write = this.image.model.begin(start, length, discard);
    this.#world.trace.note(
      this.host.id,
      `vdi ${this.image.vdi}: ${discard ? 'discard' : 'write'} ${write.number} of ${index}+${offset} ${length}`,
    );
    const change = discard
      ? ({ kind: 'discard', offset, length } as const)
      : ({ kind: 'write', offset, data: stampedData(write.number, start, length) } as const);
    await this.#retried((run) =>
      run.cluster.replica.change(this.image.options, index, change, Number.POSITIVE_INFINITY),
    );
    if (this.#dead) return;
    this.image.model.acknowledge(write);
    this.#world.trace.note(this.host.id, `vdi ${this.image.vdi}: write ${write.number} is done`);
    this.#writing.delete(range);
  }

  async #flush(): Promise<void> {
    const flushed = this.image.model.beginFlush();
    await this.#retried((run) => run.cluster.replica.flush(this.image.options, Number.POSITIVE_INFINITY));
    if (!this.#dead) flushed();
  }

  /** The kernel sends a request again to the next worker of its host. */
  async #retried<T>(request: (run: Run) => Promise<T>): Promise<T> {
    for (;;) {
      const run = await this.host.running();
      const result = await Promise.race([request(run).then((value) => ({ value })), run.ended]);
      if (result) return result.value;
      if (this.#dead) return new Promise(() => undefined);
    }
  }

  #range(): { index: number; offset: number; length: number } {
    const index = this.#random.below(this.image.indexes);
    const spot = SPOTS[this.#random.below(SPOTS.length)]! + this.#random.below(64) * SECTOR_BYTES;
    const most = Math.min(this.#random.chance(0.02) ? 512 : 16, (OBJECT_BYTES - spot) / SECTOR_BYTES);
    return { index, offset: spot, length: (1 + this.#random.below(most)) * SECTOR_BYTES };
  }
}
