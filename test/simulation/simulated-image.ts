import type { KeyValue } from '../../lib/coordination/coordination.js';
import type { Chain } from '../../lib/replication/object-io.js';
import { decodeWriter, NO_WRITER, type WriterRecord, writerKey } from '../../lib/replication/writer-record.js';
import { chainOf } from '../../lib/vdi/family.js';
import { decodeRecord, type FamilyRecord, KEY, type VdiRecord } from '../../lib/vdi/records.js';
import type { Vdi } from '../../lib/vdi/vdi.js';
import type { ImageModel } from './image-model.js';
import type { Run } from './simulated-host.js';
import type { World } from './world.js';

/** A snapshot of a simulated image, and what it may show. */
export interface SimulatedSnapshot {
  readonly tag: string;
  readonly vdi: number;
  readonly model: ImageModel;
}

export interface SimulatedImageOptions {
  readonly vdi: number;
  readonly name: string;
  readonly copies: number;
  /** Objects that guests use, one behind the other. */
  readonly indexes: number;
  readonly model: ImageModel;
}

/** An image of the simulated cluster, and what it may show. */
export class SimulatedImage {
  readonly vdi: number;
  readonly name: string;
  readonly copies: number;
  readonly indexes: number;
  readonly model: ImageModel;
  readonly snapshots: SimulatedSnapshot[] = [];
  /** Guests begin nothing until it is over: something is done to the image as a whole. */
  isHeld = false;
  /** The guest that took the image's lock last: whoever had it before is answered nothing any more. */
  locker: object | null = null;
  /** Its administrator is at work on it, or died over that. */
  isBusy = false;
  /** Something was begun of which nobody knows whether it was done: there may be snapshots that are not among `snapshots`. */
  isUnsure = false;
  /** The last generation of which a guest was told that it has written. */
  writtenBy = 0;
  readonly #world: World;
  /** Never changes. */
  readonly #family: number;
  /** What `/writer` was when it was asked for last, which guests do with each of their requests. */
  #writer: { readonly found: KeyValue; readonly record: WriterRecord } | null = null;

  constructor(world: World, { vdi, name, copies, indexes, model }: SimulatedImageOptions) {
    this.#world = world;
    this.vdi = vdi;
    this.name = name;
    this.copies = copies;
    this.indexes = indexes;
    this.model = model;
    this.#family = this.record.family;
  }

  /** The image as a worker has it. */
  on(run: Run): Promise<Vdi> {
    return run.vdis.load(this.vdi);
  }

  pgOf(index: number): number {
    return this.#world.placement.pgOf(this.#family, index);
  }

  /** `/vdi` as it is at this moment. */
  get record(): VdiRecord {
    return this.#peek<VdiRecord>(KEY.vdi(this.vdi));
  }

  /** `/family` as it is at this moment. */
  get family(): FamilyRecord {
    return this.#peek<FamilyRecord>(KEY.family(this.record.family));
  }

  /** What it shows at this moment, by what is stored. */
  get chain(): Chain {
    return chainOf(this.family, this.vdi);
  }

  /** `/writer` as it is at this moment. */
  get writer(): WriterRecord {
    const found = this.#world.store.peek(writerKey(this.vdi));
    if (!found) return NO_WRITER;
    if (this.#writer?.found !== found) this.#writer = { found, record: decodeWriter(found.value) };
    return this.#writer.record;
  }

  #peek<Record>(key: string): Record {
    const found = this.#world.store.peek(key);
    if (!found) throw new Error(`${this.name}: the store has no ${key}`);
    return decodeRecord<Record>(found.value);
  }
}
