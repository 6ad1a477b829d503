import { Duplex } from 'node:stream';
import { WireError } from './links.js';

/** Bytes that may be under way to one end, or wait there to be read: what the other one may send without being told more. */
export const WINDOW_BYTES = 4 * 1024 * 1024;
/** The end that reads tells of what was read when it is this much. */
const GRANT_BYTES = WINDOW_BYTES / 4;
/** Of one frame: others may go between. */
const CHUNK_BYTES_MAX = 128 * 1024;

/** What a tunnel's frames go by. */
export interface TunnelFrames {
  data(chunk: Uint8Array): void;
  /** The other end may send so many bytes more. */
  grant(bytes: number): void;
  end(): void;
  /** Nothing is read or written here any more. */
  closed(error: Error | null): void;
}

/**
 * A stream of bytes within a connection of the swarm, which is the connection's only one. What is sent is bounded by what
 * the reader takes, so that a reader that has stopped holds up nothing else of the connection.
 */
export class Tunnel extends Duplex {
  /** True at one end and false at the other. */
  readonly isInitiator: boolean;
  readonly #frames: TunnelFrames;
  #credit = WINDOW_BYTES;
  #pending: { chunk: Buffer; callback: (error?: Error | null) => void } | null = null;
  readonly #queue: Buffer[] = [];
  #queuedBytes = 0;
  #readBytes = 0;
  #isWanted = false;
  #hasEnded = false;

  constructor(isInitiator: boolean, frames: TunnelFrames) {
    super({ allowHalfOpen: true, emitClose: true });
    this.isInitiator = isInitiator;
    this.#frames = frames;
  }

  /** Bytes that came. Throws WireError where the other end was not allowed to send them. */
  receive(chunk: Buffer): void {
    if (this.#hasEnded) throw new WireError('data after the end of a tunnel');
    if (this.#queuedBytes + this.#readBytes + chunk.length > WINDOW_BYTES) {
      throw new WireError('more data than a tunnel has room for');
    }
    if (this.destroyed || chunk.length === 0) return;
    this.#queue.push(chunk);
    this.#queuedBytes += chunk.length;
    this.#drain();
  }

  /** The other end takes so many bytes more. Throws WireError for more than there can be. */
  granted(bytes: number): void {
    if (this.#credit + bytes > WINDOW_BYTES) throw new WireError('more credit than a tunnel has');
    this.#credit += bytes;
    this.#pump();
  }

  /** The other end writes no more. Throws WireError when it says so twice. */
  ended(): void {
    if (this.#hasEnded) throw new WireError('a tunnel that ends twice');
    this.#hasEnded = true;
    this.#drain();
  }

  /** The connection is gone. What came whole before may still be read. */
  cut(error: Error | null): void {
    if (this.#hasEnded && this.writableFinished) return;
    this.destroy(error ?? new Error('the connection of the swarm was closed'));
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#pending = { chunk, callback };
    this.#pump();
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#frames.end();
    callback();
  }

  override _read(): void {
    this.#isWanted = true;
    this.#drain();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#queue.length = 0;
    const pending = this.#pending;
    this.#pending = null;
    this.#frames.closed(error);
    pending?.callback(error ?? new Error('the tunnel was closed'));
    callback(error);
  }

  #pump(): void {
    const pending = this.#pending;
    if (!pending) return;
    while (this.#credit > 0 && pending.chunk.length > 0) {
      const part = pending.chunk.subarray(0, Math.min(this.#credit, CHUNK_BYTES_MAX));
      pending.chunk = pending.chunk.subarray(part.length);
      this.#credit -= part.length;
      this.#frames.data(part);
    }
    if (pending.chunk.length > 0) return;
    this.#pending = null;
    pending.callback();
  }

  #drain(): void {
    while (this.#isWanted && this.#queue.length > 0) {
      const chunk = this.#queue.shift()!;
      this.#queuedBytes -= chunk.length;
      this.#readBytes += chunk.length;
      this.#isWanted = this.push(chunk);
    }
    if (this.#readBytes >= GRANT_BYTES && !this.destroyed) {
      const bytes = this.#readBytes;
      this.#readBytes = 0;
      this.#frames.grant(bytes);
    }
    if (this.#hasEnded && this.#queue.length === 0 && !this.readableEnded && this.#isWanted) {
      this.#isWanted = false;
      this.push(null);
    }
  }
}
