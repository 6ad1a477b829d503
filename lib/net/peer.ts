import { randomBytes } from 'node:crypto';
import type { ByteStream } from './byte-stream.js';
import { Channel, type ChannelOwner, readHello } from './channel.js';
import type { CloseReason } from './close-reason.js';
import { Connection, TICK_MS } from './connection.js';
import { Dialler } from './dialler.js';
import { type FrameKind, HELLO } from './frames.js';
import {
  CARRIES_BOTH,
  CARRIES_CONTROL,
  CARRIES_DATA,
  type Carries,
  CHANNEL_BYTES,
  encodeHello,
  type Hello,
} from './hello.js';
import { type PairOptions, PairSessions } from './pair-sessions.js';
import type { Dialled } from './tls-endpoint.js';

/** Without a session, a connection is closed after about 3 s. */
const SETTLE_TICKS_MAX = Math.ceil(3000 / TICK_MS);

/** About 1 s without a session by TCP, until a stream that was offered is used. */
const OFFERED_AFTER_TICKS = Math.ceil(1000 / TICK_MS);

/** Connections with one other host that have no session. At it, the next one that arrives is closed. */
export const UNSETTLED_MAX = 16;

export interface PeerOptions<Message> extends Omit<PairOptions<Message>, 'taken' | 'ended'> {
  /** Random, of this process. */
  readonly process: Buffer;
  /** See TlsEndpoint. */
  dial(host: string, address: string, dialled: Dialled): () => void;
}

/** Another host: how it is reached, and what for. */
export class Peer<Message> implements ChannelOwner {
  readonly #options: PeerOptions<Message>;
  readonly #sessions: PairSessions<Message>;
  readonly #dialler: Dialler;
  /** Accepted, and nothing said yet; with the ticks that each has been there. */
  readonly #silent = new Map<Connection, number>();
  /** Of TCP, without a session. */
  readonly #channels = new Set<Channel>();
  /** Offered, for when there is no TCP. */
  #reserve: Channel | null = null;
  /** Ticks without a session. */
  #lackingTicks = 0;
  #isClosed = false;

  /** `highest`: numbers of sessions are above. */
  constructor(options: PeerOptions<Message>, highest: number) {
    this.#options = options;
    this.#sessions = new PairSessions(
      {
        ...options,
        taken: (channel) => this.#taken(channel),
        ended: (hasLasted) => this.#ended(hasLasted),
      },
      highest,
    );
    this.#dialler = new Dialler((address) => this.#dial(address));
    this.#dialler.start();
  }

  /** Of the sessions with the host. */
  get highest(): number {
    return this.#sessions.highest;
  }

  get isConnected(): boolean {
    return this.#sessions.open !== 0;
  }

  set addresses(addresses: readonly string[]) {
    this.#dialler.addresses = addresses;
  }

  /** See Links. */
  send(message: Message, only: number | undefined): number | null {
    return this.#sessions.send(message, only);
  }

  /** A stream of a TLS connection that the host has made. */
  accept(stream: ByteStream, address: string): void {
    if (this.#silent.size + this.#channels.size >= UNSETTLED_MAX) {
      stream.destroy();
      this.#options.counters.closed.crowded++;
      return;
    }
    const connection = new Connection(stream, CARRIES_BOTH, {
      frame: (from, kind, body) => this.#begin(from, address, kind, body),
      closed: (from, reason) => {
        this.#silent.delete(from);
        this.#options.counters.closed[reason]++;
      },
    });
    this.#silent.set(connection, 0);
  }

  /** The newest stream that is offered is kept, beside one that has the session. */
  offer(stream: ByteStream): void {
    const channel = new Channel('offered', Buffer.alloc(CHANNEL_BYTES), 'the swarm', this);
    const before = this.#reserve;
    this.#reserve = channel;
    before?.close('replaced');
    this.#greet(channel, stream, CARRIES_BOTH);
  }

  /** To be called every TICK_MS. */
  tick(): void {
    for (const [connection, age] of this.#silent) {
      if (age + 1 >= SETTLE_TICKS_MAX) connection.close('timeout');
      else this.#silent.set(connection, age + 1);
    }
    for (const channel of this.#channels) grow(channel);
    const { channel } = this.#sessions;
    if (this.isConnected) channel?.tick();
    else if (channel !== null) grow(channel);
    if (this.#reserve !== null && !this.#reserve.isComplete) grow(this.#reserve);
    this.#lackingTicks = this.#sessions.channel === null ? this.#lackingTicks + 1 : 0;
    if (this.#lackingTicks >= OFFERED_AFTER_TICKS && this.#sessions.decides && this.#reserve?.isComplete) {
      this.#sessions.openBy(this.#reserve);
    }
  }

  /** For good. Of a session that is open, `lost` is called a little later; but not where this end shuts down. */
  close(reason: CloseReason): void {
    this.#isClosed = true;
    this.#dialler.stop();
    if (reason === 'shutdown') this.#sessions.silence();
    this.#sessions.end(reason);
    for (const connection of [...this.#silent.keys()]) connection.close(reason);
    for (const channel of [...this.#channels]) channel.close(reason);
    this.#reserve?.close(reason);
  }

  greeted(channel: Channel, connection: Connection): void {
    if (channel.origin === 'dialled' && connection.carries === CARRIES_CONTROL) {
      this.#dialler.greeted(channel);
      this.#connect(channel, CARRIES_DATA);
    }
    if (channel.isComplete) this.#sessions.completed(channel);
  }

  frame(channel: Channel, connection: Connection, kind: FrameKind, body: Buffer): boolean {
    return this.#sessions.frame(channel, connection, kind, body);
  }

  closed(channel: Channel, reason: CloseReason): void {
    this.#options.counters.closed[reason]++;
    this.#channels.delete(channel);
    if (this.#reserve === channel) this.#reserve = null;
    this.#dialler.ended(channel);
    this.#sessions.closed(channel, reason);
  }

  #taken(channel: Channel): void {
    this.#channels.delete(channel);
    if (this.#reserve === channel) this.#reserve = null;
    channel.age = 0;
    // By an offered one, TCP is tried on.
    if (channel.isOffered) return;
    this.#dialler.ended(channel);
    this.#dialler.stop();
  }

  #ended(hasLasted: boolean): void {
    if (hasLasted) this.#dialler.lasted();
    if (!this.#isClosed) this.#dialler.start();
  }

  #dial(address: string): Channel {
    const channel = new Channel('dialled', randomBytes(CHANNEL_BYTES), address, this);
    this.#channels.add(channel);
    this.#connect(channel, CARRIES_CONTROL);
    return channel;
  }

  #connect(channel: Channel, carries: Carries): void {
    channel.cancel = this.#options.dial(this.#options.host, channel.address, {
      connected: (stream) => {
        channel.cancel = () => {};
        this.#greet(channel, stream, carries);
      },
      failed: (reason) => channel.close(reason),
    });
  }

  #greet(channel: Channel, stream: ByteStream, carries: Carries): void {
    const connection = new Connection(stream, carries, channel);
    channel.add(connection);
    this.#sayHello(connection, channel.id);
  }

  #sayHello(connection: Connection, channel: Buffer): void {
    const { process } = this.#options;
    const { highest, open } = this.#sessions;
    connection.send('control', HELLO, [encodeHello({ carries: connection.carries, process, channel, highest, open })]);
  }

  /** The first frame of a connection that was accepted. */
  #begin(connection: Connection, address: string, kind: FrameKind, body: Buffer): boolean {
    const hello = readHello(kind, body);
    if (typeof hello === 'string') {
      connection.close(hello);
      return false;
    }
    const channel = this.#channelOf(hello, address);
    if (hello.carries === CARRIES_BOTH || !channel.lacks(hello.carries)) {
      connection.close('protocol');
      return false;
    }
    this.#silent.delete(connection);
    this.#channels.add(channel);
    connection.carries = hello.carries;
    connection.hello = hello;
    channel.add(connection);
    this.#sayHello(connection, channel.id);
    if (channel.isComplete) this.#sessions.completed(channel);
    return true;
  }

  #channelOf(hello: Hello, address: string): Channel {
    for (const channel of this.#channels) {
      if (channel.origin === 'accepted' && channel.id.equals(hello.channel)) return channel;
    }
    return new Channel('accepted', hello.channel, address, this);
  }
}

/** What has no session has so long to get one. */
function grow(channel: Channel): void {
  channel.age++;
  if (channel.age >= SETTLE_TICKS_MAX) channel.close('timeout');
}
