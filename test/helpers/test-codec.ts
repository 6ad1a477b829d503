import { createHash } from 'node:crypto';
import { type Lane, type MessageCodec, WireError } from '../../lib/net/links.js';

export interface TestMessage {
  readonly lane: Lane;
  readonly number: number;
  readonly data: Buffer;
}

const HASH_BYTES = 8;
const HEAD_BYTES = HASH_BYTES + 1 + 4;

/** Messages with a hash over all of them: what was changed on its way is no message. */
export const testCodec: MessageCodec<TestMessage> = {
  encode({ lane, number, data }) {
    const head = Buffer.alloc(HEAD_BYTES);
    head.writeUInt8(lane === 'control' ? 1 : 2, HASH_BYTES);
    head.writeUInt32LE(number, HASH_BYTES + 1);
    hashOf(head.subarray(HASH_BYTES), data).copy(head);
    return [head, data];
  },
  decode(body) {
    if (body.length < HEAD_BYTES) throw new WireError('too short');
    const data = body.subarray(HEAD_BYTES);
    const hash = hashOf(body.subarray(HASH_BYTES, HEAD_BYTES), data);
    if (!hash.equals(body.subarray(0, HASH_BYTES))) throw new WireError('changed on its way');
    return { lane: body[HASH_BYTES] === 1 ? 'control' : 'data', number: body.readUInt32LE(HASH_BYTES + 1), data };
  },
  laneOf: ({ lane }) => lane,
};

function hashOf(head: Buffer, data: Buffer): Buffer {
  return createHash('md5').update(head).update(data).digest().subarray(0, HASH_BYTES);
}

export function control(number: number, data: Buffer = Buffer.alloc(0)): TestMessage {
  return { lane: 'control', number, data };
}

export function bulk(number: number, data: Buffer = Buffer.alloc(0)): TestMessage {
  return { lane: 'data', number, data };
}
