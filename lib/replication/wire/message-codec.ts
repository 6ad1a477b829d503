import { type MessageCodec, WireError } from '../../net/links.js';
import type { Message } from '../messages.js';
import { choice, option } from './composites.js';
import { laneOf } from './lanes.js';
import { MESSAGE_BYTES_MAX } from './limits.js';
import { reply } from './reply.js';
import {
  attributesRequest,
  changeRequest,
  describeRequest,
  endRequest,
  fenceRequest,
  fetchRequest,
  flushRequest,
  listRequest,
  nextRequest,
  readRequest,
  releaseRequest,
  reportMessage,
  retireRequest,
  seekRequest,
} from './requests.js';
import { WireState } from './wire-state.js';

/*
 * A message on the wire: the format's version (8 bits); the length of the head, of which these five bytes are a part (32
 * bits, little-endian); the kind (8 bits); its fields; and behind the head the bulk, all data of objects that the message
 * has. A number that is given to a kind here, or in another table, is never given to another one.
 */

/** Hosts speak the same version: another one is refused. */
export const WIRE_VERSION = 1;
const PREFIX_BYTES = 5;

const message = choice<Message, 'type'>('type', 'message', {
  change: option(1, changeRequest),
  read: option(2, readRequest),
  reply: option(3, reply),
  flush: option(4, flushRequest),
  seek: option(5, seekRequest),
  next: option(6, nextRequest),
  end: option(7, endRequest),
  retire: option(8, retireRequest),
  fence: option(9, fenceRequest),
  list: option(10, listRequest),
  describe: option(11, describeRequest),
  fetch: option(12, fetchRequest),
  release: option(13, releaseRequest),
  attributes: option(14, attributesRequest),
  report: option(15, reportMessage),
});

const NO_BYTES = Buffer.alloc(0);

/** How the messages of replication become bytes. `encode` throws WireError for what `decode` would refuse. */
export const messageCodec: MessageCodec<Message> = {
  encode(value) {
    const state = new WireState(NO_BYTES);
    state.end = PREFIX_BYTES;
    message.preencode(state, value);
    if (state.end > MESSAGE_BYTES_MAX) throw new WireError(`a message with a head of ${state.end} bytes`);
    const head = Buffer.allocUnsafe(state.end);
    const parts = [head];
    state.buffer = head;
    state.parts = parts;
    head[0] = WIRE_VERSION;
    state.start = head.writeUInt32LE(head.length, 1);
    message.encode(state, value);
    if (state.start !== head.length) throw new Error(`a head of ${state.start} bytes, and not ${head.length}`);
    checkLength(parts);
    return parts;
  },

  decode(body) {
    if (body.length < PREFIX_BYTES || body.length > MESSAGE_BYTES_MAX) {
      throw new WireError(`a message of ${body.length} bytes`);
    }
    if (body[0] !== WIRE_VERSION) {
      throw new WireError(`a message in version ${body[0]} of the format: this release speaks ${WIRE_VERSION}`);
    }
    const state = new WireState(body);
    state.start = PREFIX_BYTES;
    state.end = body.readUInt32LE(1);
    state.bulkStart = state.end;
    if (state.end < PREFIX_BYTES || state.end > body.length) throw new WireError(`a head of ${state.end} bytes`);
    const value = message.decode(state);
    if (state.start !== state.end) throw new WireError(`${state.end - state.start} bytes of a message mean nothing`);
    if (state.bulkStart !== body.length) {
      throw new WireError(`${body.length - state.bulkStart} bytes of a message's data mean nothing`);
    }
    return value;
  },

  laneOf,
};

function checkLength(parts: readonly Buffer[]): void {
  let bytes = 0;
  for (const part of parts) bytes += part.length;
  if (bytes > MESSAGE_BYTES_MAX) throw new WireError(`a message of ${bytes} bytes`);
}
