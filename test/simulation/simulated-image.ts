import { type Chain, OBJECT_BYTES } from '../../lib/replication/object-io.js';
import type { ReplicatedImage } from '../../lib/replication/replicated-image.js';
import { decodeWriter, NO_WRITER, type WriterRecord, writerKey } from '../../lib/replication/writer-record.js';
import { ImageModel } from './image-model.js';
import type { Run } from './simulated-host.js';
import type { World } from './world.js';

/** An image of the simulated cluster, and what it may show. */
export class SimulatedImage {
  readonly vdi: number;
  readonly chain: Chain;
  readonly copies: number;
  /** Objects, one behind the other. */
  readonly indexes: number;
  readonly model = new ImageModel();
  readonly #world: World;
  readonly #opened = new WeakMap<Run, ReplicatedImage>();

  constructor(world: World, vdi: number, indexes: number) {
    this.#world = world;
    this.vdi = vdi;
    this.copies = world.placement.copiesOf(vdi);
    this.indexes = indexes;
    this.chain = { family: vdi, layers: [{ layer: 1, limit: 0 }] };
  }

  /** The image as a worker has it. */
  on(run: Run): ReplicatedImage {
    let opened = this.#opened.get(run);
    if (!opened) {
      let generation = 0;
      const attributes = { size: this.indexes * OBJECT_BYTES, mtime: { seconds: 0, nanoseconds: 0 } };
      opened = run.cluster.replica.image({
        ...{ vdi: this.vdi, copies: this.copies, chain: () => this.chain, generation: () => generation },
        refresh: async () => {
          const found = await run.coordination.get(writerKey(this.vdi));
          generation = found ? decodeWriter(found.value).generation : 0;
        },
        ...{ acquired: () => Promise.resolve(), reaches: () => null, settled: () => Promise.resolve({}) },
        attributes: () => attributes,
      });
      this.#opened.set(run, opened);
    }
    return opened;
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
