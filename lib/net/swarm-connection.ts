import type HyperDHT from 'hyperdht';
import { decodeIntroduction, encodeIntroduction, type Introduction } from './introduction.js';
import { WireError } from './links.js';
import { Tunnel } from './tunnel.js';

/** Between the opening of a connection and the other's introduction. */
const INTRODUCTION_TIMEOUT_MS = 1000 * 4; // 4 s

/**
 * The first byte of each frame of a connection. The first frame each way is an introduction; another comes whenever it
 * changes. The rest belongs to the connection's one tunnel, which is there from the introduction on.
 */
enum Frame {
  Introduction = 1,
  /** Bytes of the tunnel. */
  Data = 2,
  /** 32 bits: bytes of the tunnel that may be sent more. */
  Grant = 3,
  /** The tunnel's sender writes no more. */
  End = 4,
}

export interface SwarmConnectionEvents {
  introduced(introduction: Introduction): void;
  /** After the first introduction. It is closed with the connection, and the connection with it. */
  tunnel(tunnel: Tunnel): void;
  /** `error` says why, where it was not meant to be. */
  closed(error: Error | null): void;
}

/** A connection of the swarm to another host: introductions, and one tunnel. */
export class SwarmConnection {
  readonly #socket: HyperDHT.SecretStream;
  readonly #events: SwarmConnectionEvents;
  readonly #timer: NodeJS.Timeout;
  #tunnel: Tunnel | null = null;
  /** When it was opened, or when the other introduced itself. */
  #sinceMs = performance.now();
  #error: Error | null = null;
  #isClosed = false;

  constructor(socket: HyperDHT.SecretStream, introduction: Introduction, events: SwarmConnectionEvents) {
    this.#socket = socket;
    this.#events = events;
    this.#timer = setTimeout(() => this.#fail(new WireError('no introduction')), INTRODUCTION_TIMEOUT_MS);
    socket.on('error', (error: Error) => {
      this.#error ??= error;
    });
    socket.on('close', () => this.#closed());
    socket.on('end', () => socket.end());
    socket.on('data', (frame: Buffer) => this.#received(frame));
    this.introduce(introduction);
  }

  /** Whether the other has introduced itself. */
  get isIntroduced(): boolean {
    return this.#tunnel !== null;
  }

  /** Milliseconds since the other has introduced itself; before that, since the connection was opened. */
  get ageMs(): number {
    return performance.now() - this.#sinceMs;
  }

  /** The host that the other end's packets come from. */
  get remoteHost(): string {
    return this.#socket.rawStream.remoteHost;
  }

  introduce(introduction: Introduction): void {
    this.#send(Frame.Introduction, encodeIntroduction(introduction));
  }

  close(): void {
    this.#socket.destroy();
  }

  #received(frame: Buffer): void {
    if (this.#socket.destroyed) return;
    try {
      this.#take(frame[0], frame.subarray(1));
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#fail(error);
    }
  }

  #take(kind: number | undefined, body: Buffer): void {
    if (kind === Frame.Introduction) {
      this.#introduced(decodeIntroduction(body));
      return;
    }
    const tunnel = this.#tunnel;
    if (!tunnel) throw new WireError('no introduction first');
    if (kind === Frame.Data) tunnel.receive(body);
    else if (kind === Frame.Grant && body.length === 4) tunnel.granted(body.readUInt32LE());
    else if (kind === Frame.End && body.length === 0) tunnel.ended();
    else throw new WireError(`a frame of kind ${kind} with ${body.length} bytes`);
  }

  #introduced(introduction: Introduction): void {
    this.#events.introduced(introduction);
    if (this.#tunnel || this.#socket.destroyed) return;
    clearTimeout(this.#timer);
    this.#sinceMs = performance.now();
    this.#tunnel = new Tunnel(this.#socket.isInitiator, {
      data: (chunk) => this.#send(Frame.Data, chunk),
      grant: (bytes) => this.#send(Frame.Grant, uint32(bytes)),
      end: () => this.#send(Frame.End),
      closed: (error) => {
        if (error) this.#fail(error);
        else this.#socket.end();
      },
    });
    // Whoever takes it has a handler of its own; of one that nobody took, the connection tells.
    this.#tunnel.on('error', () => {});
    this.#events.tunnel(this.#tunnel);
  }

  #send(kind: Frame, body?: Uint8Array): void {
    if (this.#socket.destroyed) return;
    const frame = Buffer.allocUnsafe(1 + (body?.byteLength ?? 0));
    frame[0] = kind;
    if (body) frame.set(body, 1);
    // The tunnel's credit bounds what waits here.
    this.#socket.write(frame);
  }

  #fail(error: Error): void {
    this.#error ??= error;
    this.#socket.destroy();
  }

  #closed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#timer);
    const error = this.#error;
    this.#tunnel?.cut(error);
    this.#events.closed(error);
  }
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
