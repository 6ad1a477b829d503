import { type Chain, type ImageOptions, OBJECT_BYTES } from '../../lib/replication/object-io.js';
import { decodeWriter, NO_WRITER, type WriterRecord, writerKey } from '../../lib/replication/writer-record.js';
import { ImageModel } from './image-model.js';
import type { World } from './world.js';

/** An image of the simulated cluster, and what it may show. */
export class SimulatedImage {
  readonly vdi: number;
  readonly chain: Chain;
  readonly copies: number;
  /** Objects, one behind the other. */
  readonly indexes: number;
  readonly model = new ImageModel();
  readonly options: ImageOptions;
  readonly #world: World;

  constructor(world: World, vdi: number, indexes: number) {
    this.#world = world;
    this.vdi = vdi;
    this.copies = world.placement.copiesOf(vdi);
    this.indexes = indexes;
    this.chain = { family: vdi, layers: [{ layer: 1, limit: 0 }] };
    const time = { seconds: 0, nanoseconds: 0 };
    this.options = {
      ...{ vdi, copies: this.copies, chain: () => this.chain, generation: () => this.writer.generation },
      ...{ refresh: () => Promise.resolve(), acquired: () => Promise.resolve(), reaches: () => null },
      ...{ settled: () => Promise.resolve({}), attributes: () => ({ size: indexes * OBJECT_BYTES, mtime: time }) },
    };
  }

  pgOf(index: number): number {
    return this.#world.placement.pgOf(this.chain.family, index);
  }

  /** `/writer` as it is at this moment. */
  get writer(): WriterRecord {
    const found = this.#world.store.peek(writerKey(this.vdi));
    return found ? decodeWriter(found.value) : NO_WRITER;
  }
}
