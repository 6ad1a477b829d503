import type { Coordination, Transaction } from '../coordination/coordination.js';
import type { GenerationStep } from './object-io.js';
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

  /** False where the record is not any more what was read with that revision. `also` belongs to the transaction. */
  async replace(
    record: WriterRecord,
    modRevision: number,
    also: Pick<Transaction, 'compare' | 'success'> = {},
  ): Promise<boolean> {
    const { compare, put } = this.step(record, modRevision);
    const { succeeded } = await this.#coordination.transaction({
      compare: [compare, ...(also.compare ?? [])],
      success: [put, ...(also.success ?? [])],
    });
    return succeeded;
  }

  /** What a transaction has to contain that replaces the record which was read with that revision. */
  step(record: WriterRecord, modRevision: number): GenerationStep {
    const key = this.#key;
    return { compare: { key, modRevision }, put: { put: key, value: encodeWriter(record) } };
  }
}
