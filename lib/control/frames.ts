/**
 * An image's content on the control socket, in either direction: data frames with ascending offsets, what lies between
 * them being zeros, then one end frame. A stream that stops without its end frame is broken, however it stopped.
 *
 * Frame: type (1 byte), three bytes of zero, length of what follows the header (4 bytes), offset (8 bytes), all little
 * endian. The end frame's offset is the size of the image. An error frame ends the stream too: JSON of code, message
 * and hint.
 */
import { AdministrationError, EXTENT_BYTES_MAX, type Extent } from './administration.js';

export const HEADER_BYTES = 16;
const ERROR_BYTES_MAX = 16 * 1024;

const TYPE_DATA = 1;
const TYPE_END = 2;
const TYPE_ERROR = 3;

export type Frame =
  | ({ type: 'data' } & Extent)
  /** `size`: bytes of the image. */
  | { type: 'end'; size: number }
  /** `text`: as the sender encoded it. */
  | { type: 'error'; text: string };

/** What goes before an extent's data. */
export function encodeDataHeader(offset: number, length: number): Buffer {
  return encodeHeader(TYPE_DATA, length, offset);
}

export function encodeEnd(size: number): Buffer {
  return encodeHeader(TYPE_END, 0, size);
}

export function encodeError(text: string): Buffer {
  const body = Buffer.from(text).subarray(0, ERROR_BYTES_MAX);
  return Buffer.concat([encodeHeader(TYPE_ERROR, body.length, 0), body]);
}

/**
 * Reads frames until the end or an error frame, which is the last that it answers.
 *
 * @throws AdministrationError BROKEN_STREAM for what is no frame, is out of order, or stops in between.
 */
export async function* decodeFrames(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Frame, void> {
  const reader = new ByteReader(chunks);
  let position = 0;
  try {
    for (;;) {
      const header = await reader.read(HEADER_BYTES);
      const frame = decodeHeader(header);
      if (frame.type === TYPE_ERROR) return yield { type: 'error', text: (await reader.read(frame.length)).toString() };
      if (frame.offset < position) throw broken('its pieces are out of order');
      if (frame.type === TYPE_END) {
        await reader.expectEnd();
        return yield { type: 'end', size: frame.offset };
      }
      position = frame.offset + frame.length;
      yield { type: 'data', offset: frame.offset, data: await reader.read(frame.length) };
    }
  } finally {
    await reader.close();
  }
}

function encodeHeader(type: number, length: number, offset: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt8(type, 0);
  header.writeUInt32LE(length, 4);
  header.writeBigUInt64LE(BigInt(offset), 8);
  return header;
}

function decodeHeader(header: Buffer): { type: number; length: number; offset: number } {
  const type = header.readUInt8(0);
  const length = header.readUInt32LE(4);
  const offset = Number(header.readBigUInt64LE(8));
  if (header.readUIntLE(1, 3) !== 0) throw broken('it is no stream of an image');
  if (!Number.isSafeInteger(offset + length)) throw broken('an offset is too large');
  const max = { [TYPE_DATA]: EXTENT_BYTES_MAX, [TYPE_END]: 0, [TYPE_ERROR]: ERROR_BYTES_MAX }[type];
  if (max === undefined) throw broken('it is no stream of an image');
  if (length > max || (type === TYPE_DATA && length === 0)) throw broken('a piece has a wrong length');
  return { type, length, offset };
}

function broken(why: string): AdministrationError {
  return new AdministrationError('BROKEN_STREAM', `the stream is broken: ${why}`);
}

/** Takes exact numbers of bytes out of chunks of any size. */
class ByteReader {
  private readonly iterator: AsyncIterator<Uint8Array>;
  private chunk: Uint8Array = new Uint8Array(0);

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.iterator = chunks[Symbol.asyncIterator]();
  }

  async read(length: number): Promise<Buffer> {
    const target = Buffer.allocUnsafe(length);
    let filled = 0;
    while (filled < length) {
      if (this.chunk.length === 0 && !(await this.fill())) throw broken('it stopped before its end');
      const taken = this.chunk.subarray(0, length - filled);
      target.set(taken, filled);
      filled += taken.length;
      this.chunk = this.chunk.subarray(taken.length);
    }
    return target;
  }

  async expectEnd(): Promise<void> {
    if (this.chunk.length > 0 || (await this.fill())) throw broken('it goes on after its end');
  }

  /** Lets go of the source, also when it was not read to its end. */
  async close(): Promise<void> {
    await this.iterator.return?.();
  }

  private async fill(): Promise<boolean> {
    while (this.chunk.length === 0) {
      const next = await this.iterator.next();
      if (next.done) return false;
      this.chunk = next.value;
    }
    return true;
  }
}
