import type { Coordination } from '../coordination/coordination.js';
import { decodeWriter, encodeWriter, NO_WRITER, type WriterRecord, writerKey } from './writer-record.js';

/** Where an image's writer is on record: `/writer/<vdi>` in the coordination store. */
export class WriterStore {
  readonly #coordination: Coordination;
  readonly #key: string;

  constructor(coordination: Coordination, vdi: number) {
    this.#coordination = coordination;
    this.#key = writerKey(vdi);
  }

  async read(): Promise<{ record: WriterRecord; revision: number }> {
    const found = await this.#coordination.get(this.#key);
    return found
      ? { record: decodeWriter(found.value), revision: found.modRevision }
      : { record: NO_WRITER, revision: 0 };
  }

  /** False where the record is not any more what was read with that revision. */
  async replace(record: WriterRecord, modRevision: number): Promise<boolean> {
    const { succeeded } = await this.#coordination.transaction({
      compare: [{ key: this.#key, modRevision }],
      success: [{ put: this.#key, value: encodeWriter(record) }],
    });
    return succeeded;
  }
}
