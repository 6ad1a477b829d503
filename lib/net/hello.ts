/**
 * What two hosts say to one another before there is a session: `HELLO` on each connection, in both directions, and then,
 * of the host that decides, `OPEN` with the session's number. All numbers are little endian.
 */
import { WireError } from './links.js';

/** "SHPL": what is no link is noticed at its first bytes. */
const MAGIC = 0x4c504853;

/** Hosts speak the same version: another one is refused. */
export const LINK_VERSION = 1;

export const PROCESS_BYTES = 16;
export const CHANNEL_BYTES = 16;

const HELLO_BYTES = 4 + 2 + 1 + 1 + PROCESS_BYTES + CHANNEL_BYTES + 8 + 8;
const OPEN_BYTES = 8;

/** Far above any that is reached, so that the next one is a number without loss all the same. */
export const SESSION_MAX = 2 ** 52;

/** Which messages a connection is for. */
export const CARRIES_CONTROL = 1;
export const CARRIES_DATA = 2;
export const CARRIES_BOTH = 3;

export type Carries = typeof CARRIES_CONTROL | typeof CARRIES_DATA | typeof CARRIES_BOTH;

export interface Hello {
  readonly carries: Carries;
  /** Random, of the sender's process: another one, and the host was started anew. */
  readonly process: Buffer;
  /** Random, of whoever dialled: connections with the same belong together. */
  readonly channel: Buffer;
  /** The highest number of a session of the pair that the sender knows; 0: none. */
  readonly highest: number;
  /** That of the session that is open to the sender; 0: none. */
  readonly open: number;
}

/** A host that speaks another version of links. */
export class VersionError extends Error {
  readonly code = 'OTHER_VERSION';
}

export function encodeHello(hello: Hello): Buffer {
  const body = Buffer.alloc(HELLO_BYTES);
  body.writeUInt32LE(MAGIC, 0);
  body.writeUInt16LE(LINK_VERSION, 4);
  body.writeUInt8(hello.carries, 6);
  hello.process.copy(body, 8);
  hello.channel.copy(body, 8 + PROCESS_BYTES);
  body.writeBigUInt64LE(BigInt(hello.highest), HELLO_BYTES - 16);
  body.writeBigUInt64LE(BigInt(hello.open), HELLO_BYTES - 8);
  return body;
}

/** Throws WireError for what is no hello, and VersionError for one of another version. */
export function decodeHello(body: Buffer): Hello {
  if (body.length < 6 || body.readUInt32LE(0) !== MAGIC) throw new WireError('it is no link');
  const version = body.readUInt16LE(4);
  if (version !== LINK_VERSION) throw new VersionError(`it speaks version ${version} of links, not ${LINK_VERSION}`);
  if (body.length !== HELLO_BYTES || body.readUInt8(7) !== 0) throw new WireError('it is no hello');
  const carries = body.readUInt8(6);
  if (carries < CARRIES_CONTROL || carries > CARRIES_BOTH) throw new WireError('it is for no lane');
  const highest = readSession(body, HELLO_BYTES - 16);
  const open = readSession(body, HELLO_BYTES - 8);
  if (open > highest) throw new WireError('an open session is higher than the highest');
  return {
    ...{ carries: carries as Carries, highest, open },
    // Copies: they are kept for as long as the connection, and would keep the whole chunk that they came with.
    process: Buffer.from(body.subarray(8, 8 + PROCESS_BYTES)),
    channel: Buffer.from(body.subarray(8 + PROCESS_BYTES, 8 + PROCESS_BYTES + CHANNEL_BYTES)),
  };
}

/** The body of both OPEN and OPENED. */
export function encodeOpen(session: number): Buffer {
  const body = Buffer.alloc(OPEN_BYTES);
  body.writeBigUInt64LE(BigInt(session));
  return body;
}

/** Throws WireError. */
export function decodeOpen(body: Buffer): number {
  if (body.length !== OPEN_BYTES) throw new WireError('it opens no session');
  const session = readSession(body, 0);
  if (session === 0) throw new WireError('sessions begin at 1');
  return session;
}

function readSession(body: Buffer, at: number): number {
  const session = body.readBigUInt64LE(at);
  if (session > BigInt(SESSION_MAX)) throw new WireError('the number of a session is too high');
  return Number(session);
}
