import { type Assertions, test } from 'brittle';
import { OBJECT_BYTES } from '../lib/replication/object-io.js';
import { Disk } from '../lib/store/index.js';
import { temporaryDirectory } from './helpers/cleanup.js';
import { DiskObjects } from './helpers/disk-objects.js';
import { allocatedBytes, IDENTITY } from './helpers/disks.js';
import { type ModelImage, ObjectModel } from './helpers/object-model.js';
import { Random } from './helpers/random.js';

const INDEXES = 5;
const IMAGES_MAX = 5;
const LAYERS_MAX = 5;
/** Ranges that run at the same time lie in different slots. */
const SLOT_BYTES = 128 * 1024;
/** Slots used: few, so that ranges meet again, and objects stay sparse. */
const SLOTS = [0, 1, 2, 9, 30, 31];

class RandomRun {
  readonly #t: Assertions;
  readonly #random: Random;
  readonly #directories: string[];
  readonly #model = new ObjectModel();
  #disks: Disk[] = [];
  #objects!: DiskObjects;
  #epoch = 1;

  constructor(t: Assertions, seed: number, directories: string[]) {
    this.#t = t;
    this.#random = new Random(seed);
    this.#directories = directories;
  }

  async open(): Promise<void> {
    this.#disks = [];
    for (const directory of this.#directories) this.#disks.push(await Disk.open(directory, IDENTITY));
    this.#objects = new DiskObjects(this.#disks, () => this.#epoch);
  }

  async close(): Promise<void> {
    for (const disk of this.#disks) await disk.close();
  }

  async step(): Promise<void> {
    const { images } = this.#model;
    if (images.length === 0) {
      this.#model.create(1 + this.#random.below(3));
      return;
    }
    const image = images[this.#random.below(images.length)]!;
    const chance = this.#random.next();
    if (chance < 0.8) await this.#changes();
    else if (chance < 0.84) await this.#truncate(image);
    else if (chance < 0.88) this.#snapshot(image);
    else if (chance < 0.91) this.#clone(image);
    else if (chance < 0.93) await this.#delete(image);
    else if (chance < 0.96) await this.#merge();
    else if (chance < 0.98) await this.#objects.flush(this.#model.chainOf(image));
    else this.#epoch++;
  }

  /** A few writes and discards at once, none of which overlap. */
  async #changes(): Promise<void> {
    const taken = new Set<string>();
    const running: Promise<void>[] = [];
    for (let count = 1 + this.#random.below(8); count > 0; count--) {
      const image = this.#model.images[this.#random.below(this.#model.images.length)]!;
      const index = this.#random.below(INDEXES);
      const slot = SLOTS[this.#random.below(SLOTS.length)]!;
      const key = `${image.layers[0]} ${index}`;
      if (taken.has(`${key} ${slot}`) || taken.has(`${key} whole`)) continue;
      if (this.#random.chance(0.05) && !SLOTS.some((other) => taken.has(`${key} ${other}`))) {
        taken.add(`${key} whole`);
        running.push(this.#whole(image, index));
        continue;
      }
      taken.add(`${key} ${slot}`);
      running.push(this.#range(image, index, slot));
    }
    await Promise.all(running);
  }

  async #whole(image: ModelImage, index: number): Promise<void> {
    const chain = this.#model.chainOf(image);
    if (this.#random.chance(0.2)) {
      await this.#objects.allocate(chain, index, this.#random.chance(0.5) ? this.#random.below(OBJECT_BYTES + 1) : 0);
      return;
    }
    this.#model.discard(image, index, 0, OBJECT_BYTES);
    await this.#objects.discard(chain, { index, offset: 0, length: OBJECT_BYTES });
  }

  async #range(image: ModelImage, index: number, slot: number): Promise<void> {
    const chain = this.#model.chainOf(image);
    const start = this.#random.below(SLOT_BYTES);
    const length = 1 + this.#random.below(Math.min(SLOT_BYTES - start, this.#random.chance(0.5) ? 512 : SLOT_BYTES));
    const offset = slot * SLOT_BYTES + start;
    if (this.#random.chance(0.2)) {
      this.#model.discard(image, index, offset, length);
      await this.#objects.discard(chain, { index, offset, length });
      return;
    }
    const source = Buffer.alloc(length, 1 + this.#random.below(255));
    this.#model.write(image, index, offset, source);
    await this.#objects.write(chain, index, offset, source);
    const back = Buffer.alloc(length);
    await this.#objects.read(chain, index, offset, back);
    if (!back.equals(source)) this.#t.fail('a write is read back at once');
  }

  async #truncate(image: ModelImage): Promise<void> {
    const size = this.#random.below(INDEXES * OBJECT_BYTES);
    const chain = this.#model.chainOf(image);
    this.#model.truncate(image, size);
    await this.#objects.truncate(chain, size);
  }

  #snapshot(image: ModelImage): void {
    if (image.layers.length < LAYERS_MAX) image.layers = [this.#model.addLayer(this.#limit()), ...image.layers];
  }

  #clone(image: ModelImage): void {
    if (image.layers.length < 2 || this.#model.images.length >= IMAGES_MAX) return;
    const layers = [this.#model.addLayer(this.#limit()), ...image.layers.slice(1)];
    this.#model.images.push({ family: image.family, layers });
  }

  #limit(): number {
    return this.#random.chance(0.5) ? Number.MAX_SAFE_INTEGER : this.#random.below(INDEXES * OBJECT_BYTES);
  }

  async #delete(image: ModelImage): Promise<void> {
    this.#model.images.splice(this.#model.images.indexOf(image), 1);
    for (const layer of this.#model.orphans()) {
      this.#model.deleteLayer(layer);
      await this.#objects.deleteLayer(image.family, layer);
      if (this.#objects.usage(image.family, layer) !== 0) this.#t.fail('a deleted layer holds objects');
    }
  }

  async #merge(): Promise<void> {
    const choices = this.#model.mergeable();
    if (choices.length === 0) return;
    const { layer, child, family } = choices[this.#random.below(choices.length)]!;
    const limit = this.#model.limitOf(child);
    await this.#objects.mergeLayer(family, layer, child, limit);
    this.#model.merge(layer, child);
    if (this.#objects.usage(family, layer) !== 0) this.#t.fail('a merged layer holds objects');
  }

  /** Compares everything that can be seen. */
  async compare(): Promise<void> {
    const target = Buffer.alloc(OBJECT_BYTES);
    for (const image of this.#model.images) {
      const chain = this.#model.chainOf(image);
      for (let index = 0; index < INDEXES; index++) {
        const expected = this.#model.view(image, index) ?? Buffer.alloc(OBJECT_BYTES);
        target.fill(0xee);
        await this.#objects.read(chain, index, 0, target);
        if (!target.equals(expected)) {
          const at = expected.findIndex((byte, i) => byte !== target[i]);
          throw new Error(`image of layers ${image.layers} differs at ${index}+${at}: ${expected[at]} ${target[at]}`);
        }
        await this.#compareSeek(image, index, expected);
      }
    }
    this.#compareUsage();
  }

  /** What is called a hole must be zeros, and data must not be skipped. */
  async #compareSeek(image: ModelImage, index: number, expected: Buffer): Promise<void> {
    const chain = this.#model.chainOf(image);
    const offset = this.#random.below(OBJECT_BYTES);
    const data = (await this.#objects.seek(chain, index, offset, true)) ?? OBJECT_BYTES;
    if (data < offset || !isZero(expected.subarray(offset, data))) throw new Error(`seek data skips data at ${index}`);
    const hole = await this.#objects.seek(chain, index, offset, false);
    if (hole !== null && (hole < offset || expected[hole] !== 0)) throw new Error(`seek hole finds data at ${index}`);
    if (hole === null && (await this.#objects.seek(chain, index, OBJECT_BYTES - 1, true)) === null) {
      throw new Error(`seek sees no hole at the end of ${index}`);
    }
  }

  #compareUsage(): void {
    for (const disk of this.#disks) {
      const counts = new Map<string, number>();
      for (let family = disk.index.nextFamily(0); family !== null; family = disk.index.nextFamily(family + 1)) {
        for (const { kind, layer } of disk.index.scan(family, 0, 2 ** 32, 1e6)) {
          const key = `${family}/${layer}`;
          counts.set(key, (counts.get(key) ?? 0) + (kind === 1 ? 1 : 0));
          if (disk.index.count(family, layer) === 0 && kind === 1) throw new Error(`${key} is not counted`);
        }
      }
      for (const [key, count] of counts) {
        const [family, layer] = key.split('/').map(Number);
        if (disk.index.count(family!, layer!) !== count) throw new Error(`${key} is counted wrong`);
        const [usage, allocated] = [disk.usage(family!, layer!), allocatedBytes(disk, family!, layer!)];
        if (usage !== allocated) throw new Error(`${key} is said to use ${usage} bytes, and uses ${allocated}`);
      }
    }
  }
}

const ZEROS = Buffer.alloc(OBJECT_BYTES);

function isZero(bytes: Buffer): boolean {
  return bytes.equals(ZEROS.subarray(0, bytes.length));
}

async function run(t: Assertions, seed: number, steps: number): Promise<void> {
  const directories: string[] = [];
  for (const disk of [1, 2]) {
    const directory = await temporaryDirectory(t);
    await Disk.format(directory, { ...IDENTITY, disk });
    directories.push(directory);
  }
  const random = new RandomRun(t, seed, directories);
  await random.open();
  try {
    for (let step = 1; step <= steps; step++) {
      await random.step();
      if (step % 100 === 0) await random.compare();
      if (step % 250 === 0) {
        await random.close();
        await random.open();
        await random.compare();
      }
    }
  } finally {
    await random.close();
  }
}

/** Another seed can be given, and more steps. */
const SEED = Number(process.env.STORE_SEED ?? 1);
const STEPS = Number(process.env.STORE_STEPS ?? 400);

for (let seed = SEED; seed < SEED + 2; seed++) {
  test(`objects are what a model of them is, seed ${seed}`, { timeout: 300_000 }, async (t) => {
    await run(t, seed, STEPS);
    t.pass(`${STEPS} steps`);
  });
}
