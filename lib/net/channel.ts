import type { CloseReason } from './close-reason.js';
import type { Connection, ConnectionEvents } from './connection.js';
import { type FrameKind, HELLO } from './frames.js';
import { CARRIES_DATA, decodeHello, type Hello, VersionError } from './hello.js';
import { type Lane, WireError } from './links.js';

export interface ChannelOwner {
  /** The other end has said hello by a connection of the channel. */
  greeted(channel: Channel, connection: Connection): void;
  /** Answers false where no more frames are wanted. */
  frame(channel: Channel, connection: Connection, kind: FrameKind, body: Buffer): boolean;
  /** Once, whoever closed it. */
  closed(channel: Channel, reason: CloseReason): void;
}

/** Of TCP: dialled by this host, or by the other. Or a stream that was offered. */
export type ChannelOrigin = 'dialled' | 'accepted' | 'offered';

/** What a session can go by: two connections, one a lane; or one stream for both. One connection's end is all its end. */
export class Channel implements ConnectionEvents {
  readonly origin: ChannelOrigin;
  readonly id: Buffer;
  /** For the log. */
  readonly address: string;
  /** Ticks that it has been there without a session. */
  age = 0;
  /** The newest that the other end has said of itself. */
  hello: Hello | null = null;
  /** Ends an attempt to connect that is under way. */
  cancel = () => {};
  readonly #owner: ChannelOwner;
  /** For control messages, or for all. */
  #control: Connection | null = null;
  #data: Connection | null = null;
  #isClosed = false;

  constructor(origin: ChannelOrigin, id: Buffer, address: string, owner: ChannelOwner) {
    this.origin = origin;
    this.id = id;
    this.address = address;
    this.#owner = owner;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get isOffered(): boolean {
    return this.origin === 'offered';
  }

  get connections(): readonly Connection[] {
    return [this.#control, this.#data].filter((connection) => connection !== null);
  }

  /** The one that was complete last: what is sent by it arrives when the other end has all of them. */
  get last(): Connection {
    return (this.#data ?? this.#control)!;
  }

  /** Whether both ends have said hello by all of it. */
  get isComplete(): boolean {
    if (this.#isClosed || !this.#control?.hello) return false;
    return this.isOffered || !!this.#data?.hello;
  }

  /** Whether there is none yet for what it carries. */
  lacks(carries: number): boolean {
    return carries === CARRIES_DATA ? this.#control !== null && this.#data === null : this.#control === null;
  }

  add(connection: Connection): void {
    connection.events = this;
    if (connection.carries === CARRIES_DATA) this.#data = connection;
    else this.#control = connection;
    if (connection.hello !== null) this.hello = connection.hello;
  }

  /** Answers how many bytes of the lane wait to be written. */
  send(lane: Lane, kind: FrameKind, parts: readonly Uint8Array[]): number {
    const connection = lane === 'data' && this.#data !== null ? this.#data : this.#control!;
    return connection.send(lane, kind, parts);
  }

  tick(): void {
    for (const connection of this.connections) connection.tick();
  }

  frame(connection: Connection, kind: FrameKind, body: Buffer): boolean {
    if (connection.hello !== null) return this.#owner.frame(this, connection, kind, body);
    const hello = readHello(kind, body);
    if (typeof hello === 'string') {
      this.close(hello);
      return false;
    }
    // A stranger's answer to what nobody asked.
    if (hello.carries !== connection.carries || !hello.channel.equals(this.id)) {
      this.close('protocol');
      return false;
    }
    connection.hello = hello;
    this.hello = hello;
    this.#owner.greeted(this, connection);
    return true;
  }

  closed(_connection: Connection, reason: CloseReason): void {
    this.close(reason);
  }

  close(reason: CloseReason): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.cancel();
    for (const connection of this.connections) connection.close(reason);
    this.#owner.closed(this, reason);
  }
}

/** The hello that a connection's first frame has to be, or why it is closed. */
export function readHello(kind: FrameKind, body: Buffer): Hello | CloseReason {
  if (kind !== HELLO) return 'protocol';
  try {
    return decodeHello(body);
  } catch (error) {
    if (error instanceof VersionError) return 'version';
    if (error instanceof WireError) return 'garbage';
    throw error;
  }
}
