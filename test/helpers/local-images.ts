import type { Coordination } from '../../lib/coordination/coordination.js';
import {
  type Chain,
  type GenerationStep,
  type ImageAttributes,
  type ImageObjects,
  type ImageOptions,
  type LayerDisk,
  OBJECT_BYTES,
  type Objects,
  type Stepped,
} from '../../lib/replication/object-io.js';
import { WriterStore } from '../../lib/replication/writer-store.js';

/** Number of the one disk that stands for all that an ObjectIO has. */
const ONLY_DISK = 0;

/** A range within one object, in bytes. */
export interface ObjectRange {
  index: number;
  offset: number;
  length: number;
}

/** What ImageObjects, LayerDisk and Objects say of objects, without roles and generations, for whatever chain is given. */
export interface ObjectIO {
  read(chain: Chain, index: number, offset: number, target: Buffer): Promise<void>;
  write(chain: Chain, index: number, offset: number, source: Buffer): Promise<void>;
  discard(chain: Chain, range: ObjectRange): Promise<void>;
  allocate(chain: Chain, index: number, end: number): Promise<void>;
  seek(chain: Chain, index: number, offset: number, data: boolean): Promise<number | null>;
  flush(chain: Chain): Promise<void>;
  truncate(chain: Chain, size: number): Promise<void>;
  end(chain: Chain, bound: number): Promise<number>;
  next(chain: Chain, from: number, to: number): Promise<number | null>;
  usage(family: number, layer: number): number;
  deleteLayer(family: number, layer: number): Promise<void>;
  mergeLayer(family: number, layer: number, child: number, limit: number): Promise<void>;
}

/**
 * Images over an ObjectIO: this host holds every writer role from the start, and nobody is asked. The generations are
 * counted all the same, as what is stored of an image compares them.
 */
export class LocalImages implements Objects {
  readonly layerDisks: readonly LayerDisk[];
  readonly #objects: ObjectIO;
  readonly #coordination: Coordination;

  constructor(objects: ObjectIO, coordination: Coordination) {
    this.#objects = objects;
    this.#coordination = coordination;
    this.layerDisks = [
      {
        number: ONLY_DISK,
        deleteLayer: (family, layer) => objects.deleteLayer(family, layer),
        mergeLayer: (family, layer, child, limit) => objects.mergeLayer(family, layer, child, limit),
      },
    ];
  }

  image(options: ImageOptions): LocalImage {
    return new LocalImage(this.#objects, options, new WriterStore(this.#coordination, options.vdi));
  }

  async step<Result>(
    images: readonly ImageObjects[],
    _opened: number,
    change: (steps: readonly GenerationStep[]) => Promise<Stepped<Result>>,
  ): Promise<Result> {
    const local = images as readonly LocalImage[];
    for (;;) {
      for (const image of local) {
        await image.hold();
        await image.flush();
      }
      const outcome = await change(await Promise.all(local.map((image) => image.step())));
      if (outcome === 'again') continue;
      if (outcome.stored) await Promise.all(local.map((image) => image.refresh()));
      return outcome.result;
    }
  }

  usage(family: number, layer: number): number {
    return this.#objects.usage(family, layer);
  }
}

class LocalImage implements ImageObjects {
  readonly #objects: ObjectIO;
  readonly #options: ImageOptions;
  readonly #store: WriterStore;
  #acquired = false;
  #acquiring: Promise<void> | null = null;

  constructor(objects: ObjectIO, options: ImageOptions, store: WriterStore) {
    this.#objects = objects;
    this.#options = options;
    this.#store = store;
  }

  get held(): number | null {
    return this.#acquired ? this.#options.generation() : null;
  }

  hold(): Promise<void> {
    if (this.#acquired) return Promise.resolve();
    this.#acquiring ??= this.#acquire().finally(() => {
      this.#acquiring = null;
    });
    return this.#acquiring;
  }

  async #acquire(): Promise<void> {
    await this.#options.refresh();
    await this.#options.acquired({
      generation: this.#options.generation(),
      equalized: () => Promise.resolve(true),
      truncate: async (size) => {
        await this.truncate(size);
        return true;
      },
      end: (bound) => this.end(bound),
    });
    this.#acquired = true;
  }

  recheck(): Promise<void> {
    return this.refresh();
  }

  settle(): Promise<void> {
    return this.hold();
  }

  giveBack(): Promise<void> {
    return Promise.resolve();
  }

  ask(): Promise<ImageAttributes | null> {
    return Promise.resolve(null);
  }

  refresh(): Promise<void> {
    return this.#options.refresh();
  }

  async step(): Promise<GenerationStep> {
    const { record, revision } = await this.#store.read();
    return this.#store.step({ ...record, generation: record.generation + 1 }, revision);
  }

  /** There is no other host that could end it. */
  isAlive(): Promise<boolean> {
    return Promise.resolve(true);
  }

  read(index: number, offset: number, target: Buffer): Promise<void> {
    return this.#objects.read(this.#options.chain(), index, offset, target);
  }

  write(index: number, offset: number, source: Buffer): Promise<void> {
    const wait = this.#admit(index * OBJECT_BYTES + offset + source.length);
    if (wait) return wait.then(() => this.write(index, offset, source));
    return this.#objects.write(this.#options.chain(), index, offset, source);
  }

  async discard(index: number, offset: number, length: number): Promise<void> {
    await this.hold();
    await this.#objects.discard(this.#options.chain(), { index, offset, length });
  }

  async allocate(index: number, reach: () => number): Promise<void> {
    const end = reach();
    const wait = this.#admit(index * OBJECT_BYTES + end);
    if (wait) return wait.then(() => this.allocate(index, reach));
    if (end === 0) return;
    await this.#objects.allocate(this.#options.chain(), index, end);
  }

  /** What has to be awaited before a change up to this byte of the image begins. */
  #admit(end: number): Promise<void> | null {
    return this.#acquired ? this.#options.reaches(end) : this.hold();
  }

  seek(index: number, offset: number, data: boolean): Promise<number | null> {
    return this.#objects.seek(this.#options.chain(), index, offset, data);
  }

  flush(): Promise<void> {
    return this.#objects.flush(this.#options.chain());
  }

  async truncate(size: number): Promise<void> {
    await this.#objects.truncate(this.#options.chain(), size);
  }

  end(bound: number): Promise<number> {
    return this.#objects.end(this.#options.chain(), bound);
  }

  next(from: number, to: number, layers?: readonly number[]): Promise<number | null> {
    const { family, layers: all } = this.#options.chain();
    return this.#objects.next({ family, layers: layers?.map((layer) => ({ layer, limit: 0 })) ?? all }, from, to);
  }

  close(): void {
    this.#acquired = false;
  }
}
