import { WireError } from '../../net/links.js';

const NO_PARTS: Buffer[] = [];

/**
 * Where in a message's bytes one is, as `compact-encoding` has it. A message is a head and its bulk: what is large stands
 * behind the head, in the order in which the head tells how long it is, so that it is neither copied into the message nor
 * out of it.
 */
export class WireState {
  /** In `buffer`: where the next value is. */
  start = 0;
  /** Bytes of the head. */
  end = 0;
  /** Of encoding, the head; of decoding, the whole message. */
  buffer: Buffer;
  /** Of encoding: the message's parts, the head first. */
  parts = NO_PARTS;
  /** Of decoding: in `buffer`, where the next of the bulk is. */
  bulkStart = 0;

  constructor(buffer: Buffer) {
    this.buffer = buffer;
  }

  /** Moves `start` behind so many bytes of the head that are about to be decoded; answers where they are. */
  take(bytes: number): number {
    const { start } = this;
    if (this.end - start < bytes) throw new WireError('a message ends before its time');
    this.start = start + bytes;
    return start;
  }

  /** The next bytes of the bulk: a part of the message. */
  takeBulk(bytes: number): Buffer {
    const start = this.bulkStart;
    if (this.buffer.length - start < bytes) throw new WireError('a message has less data than it says');
    this.bulkStart = start + bytes;
    return this.buffer.subarray(start, this.bulkStart);
  }
}

/** How a value becomes bytes, as `compact-encoding` has it. */
export interface Encoding<Value> {
  /** Adds to `end` what the value takes in the head. */
  preencode(state: WireState, value: Value): void;
  /** Throws WireError for a value that `decode` would refuse. */
  encode(state: WireState, value: Value): void;
  /** Throws WireError. */
  decode(state: WireState): Value;
}
