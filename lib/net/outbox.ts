import { FRAME_HEADER_BYTES, type FrameKind, writeFrameHeader } from './frames.js';

/** Small frames are put into blocks of this size, one behind the other. */
const BLOCK_BYTES = 64 * 1024;
/** A frame of more has a buffer of its own. */
const SMALL_FRAME_BYTES_MAX = BLOCK_BYTES / 2;

/**
 * Frames of one lane that wait to be written, in their order. Each is copied into it, once, so that its parts are its
 * caller's again at once. That costs nothing: of several buffers a TLS socket makes one before it encrypts, and
 * those of a stream that is busy it would keep. What was appended while the stream was busy leaves in one piece, for one
 * write and as few records of TLS as can be. Blocks are not used again: who writes may keep what it was given.
 */
export class Outbox {
  /** Whole frames each. */
  #ready: Buffer[] = [];
  /** Of `#ready`: the first that was not taken. */
  #next = 0;
  #block: Buffer | null = null;
  /** Of the block: where that begins which was not taken, and where it ends. */
  #from = 0;
  #to = 0;
  #bytes = 0;

  /** That wait here. */
  get bytes(): number {
    return this.#bytes;
  }

  append(kind: FrameKind, parts: readonly Uint8Array[]): void {
    let bodyBytes = 0;
    for (const part of parts) bodyBytes += part.length;
    const frameBytes = FRAME_HEADER_BYTES + bodyBytes;
    this.#bytes += frameBytes;
    if (frameBytes > SMALL_FRAME_BYTES_MAX) {
      this.#seal();
      const frame = Buffer.allocUnsafe(frameBytes);
      write(frame, 0, kind, bodyBytes, parts);
      this.#ready.push(frame);
      return;
    }
    if (this.#block === null || this.#to + frameBytes > BLOCK_BYTES) {
      this.#seal();
      this.#block = Buffer.allocUnsafe(BLOCK_BYTES);
      this.#from = 0;
      this.#to = 0;
    }
    write(this.#block, this.#to, kind, bodyBytes, parts);
    this.#to += frameBytes;
  }

  /** The next whole frames; null: there are none. */
  take(): Buffer | null {
    const taken = this.#takeReady() ?? this.#takeBlock();
    if (taken !== null) this.#bytes -= taken.length;
    return taken;
  }

  #takeReady(): Buffer | null {
    if (this.#next === this.#ready.length) return null;
    const taken = this.#ready[this.#next]!;
    this.#next++;
    if (this.#next === this.#ready.length) {
      this.#ready = [];
      this.#next = 0;
    }
    return taken;
  }

  #takeBlock(): Buffer | null {
    if (this.#block === null || this.#from === this.#to) return null;
    const taken = this.#block.subarray(this.#from, this.#to);
    this.#from = this.#to;
    return taken;
  }

  /** What comes now goes behind all that is in the block. */
  #seal(): void {
    const waiting = this.#takeBlock();
    if (waiting !== null) this.#ready.push(waiting);
  }
}

function write(target: Buffer, at: number, kind: FrameKind, bodyBytes: number, parts: readonly Uint8Array[]): void {
  writeFrameHeader(target, at, kind, bodyBytes);
  let position = at + FRAME_HEADER_BYTES;
  for (const part of parts) {
    target.set(part, position);
    position += part.length;
  }
}
