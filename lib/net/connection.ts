import { TLSSocket } from 'node:tls';
import { type ByteStream, type Write, writeToSocket, writeToStream } from './byte-stream.js';
import type { CloseReason } from './close-reason.js';
import { BEAT, FrameError, type FrameKind, FrameReader } from './frames.js';
import { CARRIES_DATA, type Carries, type Hello } from './hello.js';
import type { Lane } from './links.js';
import { Outbox } from './outbox.js';

/** So often a connection with a session is looked at: one over which nothing was sent since then sends a beat. */
export const TICK_MS = 400;

/**
 * Looks in a row that have seen nothing arrive, until the other end counts as gone. Looks are counted, not time: a process
 * that stood still finds what arrived meanwhile at its next one. By the control lane, which nothing blocks, a cut is so
 * noticed after 1.6 to 2 seconds, half a TTL. By the data lane alone, which may be full, after 5.
 */
const SILENT_TICKS_MAX = 4;
const SILENT_TICKS_MAX_DATA = 12;

export interface ConnectionEvents {
  /** Answers false where no more frames are wanted. */
  frame(connection: Connection, kind: FrameKind, body: Buffer): boolean;
  /** Once, whoever closed it. */
  closed(connection: Connection, reason: CloseReason): void;
}

/** One stream between two hosts that know who the other is. */
export class Connection {
  /** Of one that was accepted: not known before its hello. */
  carries: Carries;
  events: ConnectionEvents;
  /** What the other end has said of itself; null: nothing yet. */
  hello: Hello | null = null;
  readonly #stream: ByteStream;
  readonly #reader: FrameReader;
  readonly #write: Write;
  readonly #control = new Outbox();
  readonly #data = new Outbox();
  #isWriting = false;
  #isClosed = false;
  #hasSent = false;
  #hasReceived = false;
  #silentTicks = 0;

  constructor(stream: ByteStream, carries: Carries, events: ConnectionEvents) {
    this.#stream = stream;
    this.carries = carries;
    this.events = events;
    this.#reader = new FrameReader((kind, body) => this.#frame(kind, body));
    const done = () => {
      this.#isWriting = false;
      this.#pump();
    };
    this.#write = stream instanceof TLSSocket ? writeToSocket(stream, done) : writeToStream(stream, done);
    stream.on('data', (chunk) => this.#received(chunk));
    stream.on('end', () => this.#ended());
    stream.on('close', () => this.#ended());
    // What went wrong with a network tells nothing that its end does not.
    stream.on('error', () => this.#ended());
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Answers how many bytes of the lane wait to be written. The parts are the caller's again. */
  send(lane: Lane, kind: FrameKind, parts: readonly Uint8Array[]): number {
    if (this.#isClosed) return 0;
    const outbox = lane === 'control' ? this.#control : this.#data;
    outbox.append(kind, parts);
    this.#hasSent = true;
    this.#pump();
    return outbox.bytes;
  }

  /** To be called every TICK_MS while there is a session. */
  tick(): void {
    if (!this.#hasSent && !this.#isWriting) this.send('control', BEAT, []);
    this.#hasSent = false;
    this.#silentTicks = this.#hasReceived ? 0 : this.#silentTicks + 1;
    this.#hasReceived = false;
    const max = this.carries === CARRIES_DATA ? SILENT_TICKS_MAX_DATA : SILENT_TICKS_MAX;
    if (this.#silentTicks >= max) this.close('silent');
  }

  /** What was not written is dropped, and nothing that arrives is looked at any more. */
  close(reason: CloseReason): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#stream.destroy();
    this.events.closed(this, reason);
  }

  /** What is short goes first, where both lanes share a stream. */
  #pump(): void {
    while (!this.#isWriting && !this.#isClosed) {
      const frames = this.#control.take() ?? this.#data.take();
      if (frames === null) return;
      this.#isWriting = !this.#write(frames);
    }
  }

  #received(chunk: Buffer): void {
    if (this.#isClosed) return;
    this.#hasReceived = true;
    try {
      this.#reader.push(chunk);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.close(error.reason);
    }
  }

  #frame(kind: FrameKind, body: Buffer): boolean {
    if (kind === BEAT && body.length === 0 && this.hello !== null) return true;
    return this.events.frame(this, kind, body) && !this.#isClosed;
  }

  #ended(): void {
    this.close(this.#reader.isBetweenFrames ? 'closed' : 'truncated');
  }
}
