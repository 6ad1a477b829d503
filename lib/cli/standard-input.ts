/** What an imported image is read from. */
import { fstatSync, read } from 'node:fs';
import { isatty } from 'node:tty';
import type { Extent } from '../control/administration.js';
import { Failure } from './failure.js';
import { formatOf } from './image-format.js';

const STDIN = 0;
/** Read and sent at once. */
const CHUNK_BYTES = 1024 * 1024;
/** A block of zeros of this length and alignment becomes a hole. */
const BLOCK_BYTES = 4096;
const ZEROS = Buffer.alloc(CHUNK_BYTES);

export interface Source {
  /** Bytes that are expected; null where nobody knows. */
  size: number | null;
  /** Yields what is not zeros, and returns how many bytes there were. `onRead` is told how many there were so far. */
  extents(onRead: (bytes: number) => void): AsyncGenerator<Extent, number>;
}

/** @throws Failure when standard input is a terminal. */
export function openStandardInput(): Source {
  if (isatty(STDIN)) throw Failure.usage("an image is not typed in; use 'dog vdi import NAME < FILE'");
  const stat = fstatSync(STDIN);
  const fill = stat.isFIFO() || stat.isSocket() ? fillFromPipe() : fillFromDescriptor;
  return { size: stat.isFile() ? stat.size : null, extents: (onRead) => extentsOf(fill, onRead) };
}

/** Puts as much into the buffer as there is, less than its length only at the end, and answers how much. */
type Fill = (buffer: Buffer) => Promise<number>;

async function* extentsOf(fill: Fill, onRead: (bytes: number) => void): AsyncGenerator<Extent, number> {
  let position = 0;
  let buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  for (;;) {
    const chunk = buffer.subarray(0, await fill(buffer));
    if (position === 0) refuseUnlessRaw(chunk);
    let given = false;
    for (const extent of withoutZeros(chunk, position)) {
      yield extent;
      given = true;
    }
    // What was given away is not used again; where there were but zeros, a large hole costs no memory.
    if (given) buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
    position += chunk.length;
    onRead(position);
    if (chunk.length < CHUNK_BYTES) return position;
  }
}

function refuseUnlessRaw(start: Buffer): void {
  if (start.length === 0) throw new Failure('there is nothing on standard input; no image was made');
  const format = formatOf(start);
  if (format) throw new Failure(`standard input is ${format.name}, and images are raw; ${format.hint}`);
}

function* withoutZeros(chunk: Buffer, position: number): Generator<Extent, void> {
  let start = 0;
  while (start < chunk.length) {
    if (isZeros(chunk, start)) {
      start += BLOCK_BYTES;
      continue;
    }
    let end = start + BLOCK_BYTES;
    while (end < chunk.length && !isZeros(chunk, end)) end += BLOCK_BYTES;
    end = Math.min(end, chunk.length);
    yield { offset: position + start, data: chunk.subarray(start, end) };
    start = end;
  }
}

function isZeros(chunk: Buffer, start: number): boolean {
  const end = Math.min(start + BLOCK_BYTES, chunk.length);
  return chunk.compare(ZEROS, 0, end - start, start, end) === 0;
}

async function fillFromDescriptor(buffer: Buffer): Promise<number> {
  let filled = 0;
  while (filled < buffer.length) {
    const got = await new Promise<number>((resolve, reject) => {
      read(STDIN, buffer, filled, buffer.length - filled, null, (error, bytes) => {
        if (error) reject(unreadable(error));
        else resolve(bytes);
      });
    });
    if (got === 0) break;
    filled += got;
  }
  return filled;
}

function fillFromPipe(): Fill {
  const iterator = (process.stdin as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  let rest: Buffer = Buffer.alloc(0);
  return async (buffer) => {
    let filled = 0;
    while (filled < buffer.length) {
      if (rest.length === 0) {
        const next = await iterator.next().catch((error) => Promise.reject(unreadable(error)));
        if (next.done) break;
        rest = next.value;
      }
      const taken = rest.copy(buffer, filled);
      rest = rest.subarray(taken);
      filled += taken;
    }
    return filled;
  };
}

function unreadable(error: NodeJS.ErrnoException): Failure {
  return new Failure(`cannot read standard input (${error.code ?? error.message}); no image was made`);
}
