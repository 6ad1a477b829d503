import type { WriteOrder } from '../store/write-order.js';
import type { WriterObject } from './active-objects.js';
import type { Change, ChangeRequest } from './messages.js';
import type { Chain } from './object-io.js';
import type { Answers } from './writer.js';

/** What a change that needs no message is, but for its place in the order of changes. */
export interface DirectTarget {
  readonly vdi: number;
  readonly copies: number;
  readonly pg: number;
  /** The only member of the group. */
  readonly disk: number;
  readonly since: number;
  readonly chain: Chain;
  readonly index: number;
  readonly object: WriterObject;
}

/**
 * A write that the host of its writer carries out itself, on a disk of its own that is the group's only member. To the
 * writer it is a change like any other: if it could not be answered, or its group changes, it is sent as one.
 */
export class DirectChange implements WriteOrder, DirectTarget {
  readonly vdi: number;
  readonly copies: number;
  readonly pg: number;
  readonly disk: number;
  readonly chain: Chain;
  readonly index: number;
  readonly object: WriterObject;
  readonly generation: number;
  readonly sequence: number;
  readonly change: Change;
  readonly only = null;
  since: number;
  /** With the answers where it was sent after all, null where the writer was stopped before it was done. */
  resolve: (answers: Answers | null) => void = () => {};
  #asked: Map<number, ChangeRequest> | null = null;
  #answers: Map<number, unknown> | null = null;

  constructor(target: DirectTarget, generation: number, sequence: number, offset: number, data: Buffer) {
    this.vdi = target.vdi;
    this.copies = target.copies;
    this.pg = target.pg;
    this.disk = target.disk;
    this.since = target.since;
    this.chain = target.chain;
    this.index = target.index;
    this.object = target.object;
    this.generation = generation;
    this.sequence = sequence;
    this.change = { kind: 'write', offset, data };
  }

  get asked(): Map<number, ChangeRequest> {
    this.#asked ??= new Map();
    return this.#asked;
  }

  get answers(): Map<number, unknown> {
    this.#answers ??= new Map();
    return this.#answers;
  }
}
