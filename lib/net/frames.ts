/**
 * What goes over one connection between two hosts: frames, one behind the other. A frame is the length of its body (4
 * bytes, little endian), its kind (1 byte) and its body.
 */
import type { CloseReason } from './close-reason.js';

export const FRAME_HEADER_BYTES = 5;

/**
 * The most that a message has: the data of a whole object (4 MiB) by far, and the longest list that a host answers with.
 * A sender that goes beyond would have its link closed, and send the same again by the next one.
 */
export const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;

/** Of all frames that hold no message. */
export const SMALL_BODY_BYTES_MAX = 128;

export const HELLO = 1;
export const OPEN = 2;
export const OPENED = 3;
/** Says nothing but that its sender is alive. */
export const BEAT = 4;
export const MESSAGE = 5;

export type FrameKind = typeof HELLO | typeof OPEN | typeof OPENED | typeof BEAT | typeof MESSAGE;

/** Bytes that are no frame: the connection is of no more use. */
export class FrameError extends Error {
  readonly code = 'BAD_FRAME';
  readonly reason: CloseReason;

  constructor(reason: 'garbage' | 'oversized', message: string) {
    super(message);
    this.name = 'FrameError';
    this.reason = reason;
  }
}

export function writeFrameHeader(target: Buffer, at: number, kind: FrameKind, bodyBytes: number): void {
  target.writeUInt32LE(bodyBytes, at);
  target[at + 4] = kind;
}

/** Answers false where no more frames are wanted. */
export type OnFrame = (kind: FrameKind, body: Buffer) => boolean;

/** Takes the frames out of a stream's chunks. A body that lies within one chunk is a part of it; any other is put together once. */
export class FrameReader {
  readonly #onFrame: OnFrame;
  readonly #header = Buffer.alloc(FRAME_HEADER_BYTES);
  #headerFilled = 0;
  #kind: FrameKind = BEAT;
  /** The body that is being put together. */
  #body: Buffer | null = null;
  #bodyFilled = 0;

  constructor(onFrame: OnFrame) {
    this.#onFrame = onFrame;
  }

  /** Whether the stream may end here. */
  get isBetweenFrames(): boolean {
    return this.#headerFilled === 0 && this.#body === null;
  }

  /**
   * The chunk is the reader's from now on: bodies stay parts of it.
   *
   * @throws FrameError for what is no frame, before anything is allocated for it.
   */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      at = this.#body === null ? this.#begin(chunk, at) : this.#fill(this.#body, chunk, at);
      if (at < 0) return;
    }
  }

  /** Reads a header, and a body that is all there. Answers where the chunk goes on; -1: nothing more is wanted. */
  #begin(chunk: Buffer, from: number): number {
    let at = from;
    let header = chunk;
    let headerAt = from;
    if (this.#headerFilled > 0 || chunk.length - from < FRAME_HEADER_BYTES) {
      const taken = chunk.copy(this.#header, this.#headerFilled, from);
      this.#headerFilled += taken;
      at += taken;
      if (this.#headerFilled < FRAME_HEADER_BYTES) return at;
      header = this.#header;
      headerAt = 0;
      this.#headerFilled = 0;
    } else at += FRAME_HEADER_BYTES;
    const length = header.readUInt32LE(headerAt);
    const kind = kindOf(header[headerAt + 4]!);
    checkLength(kind, length);
    if (chunk.length - at >= length) {
      return this.#onFrame(kind, chunk.subarray(at, at + length)) ? at + length : -1;
    }
    this.#kind = kind;
    this.#body = Buffer.allocUnsafe(length);
    this.#bodyFilled = 0;
    return at;
  }

  #fill(body: Buffer, chunk: Buffer, at: number): number {
    const taken = chunk.copy(body, this.#bodyFilled, at);
    this.#bodyFilled += taken;
    if (this.#bodyFilled < body.length) return at + taken;
    this.#body = null;
    return this.#onFrame(this.#kind, body) ? at + taken : -1;
  }
}

function kindOf(byte: number): FrameKind {
  if (byte < HELLO || byte > MESSAGE) throw new FrameError('garbage', `there is no kind ${byte} of frame`);
  return byte as FrameKind;
}

function checkLength(kind: FrameKind, length: number): void {
  const max = kind === MESSAGE ? MESSAGE_BYTES_MAX : SMALL_BODY_BYTES_MAX;
  if (length > max) throw new FrameError('oversized', `a frame of ${length} bytes is longer than ${max}`);
}
