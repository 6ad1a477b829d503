import { decides, gives, nextSession, type Rival } from './agreement.js';
import type { Channel } from './channel.js';
import type { CloseReason, LinkCounters } from './close-reason.js';
import type { Connection } from './connection.js';
import { type FrameKind, MESSAGE, MESSAGE_BYTES_MAX, OPEN, OPENED } from './frames.js';
import { CARRIES_BOTH, CARRIES_CONTROL, CARRIES_DATA, decodeOpen, encodeOpen, SESSION_MAX } from './hello.js';
import { type LinkEvents, type MessageCodec, WireError } from './links.js';

/** A session that was there for so long (5 s) was no passing one. */
const LASTING_MS = 5000;

export interface PairOptions<Message> {
  /** This host, and the other one. */
  readonly own: string;
  readonly host: string;
  /** See TlsLinksOptions. */
  readonly queueBytesMax: number;
  readonly codec: MessageCodec<Message>;
  readonly events: LinkEvents<Message>;
  readonly counters: LinkCounters;
  note(what: string): void;
  /** The channel has the session from now on. */
  taken(channel: Channel): void;
  /** There is no session any more. */
  ended(hasLasted: boolean): void;
}

interface Session {
  readonly number: number;
  readonly channel: Channel;
  /** The deciding end waits for `OPENED` first. */
  isOpen: boolean;
  openedAtMs: number;
}

/** The sessions of two hosts, one at a time: see agreement.ts. */
export class PairSessions<Message> {
  readonly #options: PairOptions<Message>;
  readonly #decides: boolean;
  #highest: number;
  #session: Session | null = null;
  /** The one that is gone and that nobody was told of yet. */
  #lost: number | null = null;
  #isSilent = false;

  /** `highest`: numbers are above. */
  constructor(options: PairOptions<Message>, highest: number) {
    this.#options = options;
    this.#decides = decides(options.own, options.host);
    this.#highest = highest;
  }

  get decides(): boolean {
    return this.#decides;
  }

  get highest(): number {
    return this.#highest;
  }

  /** 0: none. */
  get open(): number {
    return this.#session?.isOpen ? this.#session.number : 0;
  }

  /** What the session goes by, or is being opened on. */
  get channel(): Channel | null {
    return this.#session?.channel ?? null;
  }

  send(message: Message, only: number | undefined): number | null {
    const session = this.#session;
    if (session === null || !session.isOpen) return null;
    if (only !== undefined && only !== session.number) return null;
    const { codec, queueBytesMax } = this.#options;
    const parts = codec.encode(message);
    checkBytes(parts);
    if (session.channel.send(codec.laneOf(message), MESSAGE, parts) <= queueBytesMax) return session.number;
    this.end('slow');
    return null;
  }

  /** Both ends have said hello by all of the channel. The host that does not decide waits for `OPEN`. */
  completed(channel: Channel): void {
    if (!this.#decides) return;
    const session = this.#session;
    const isGiven = session !== null && gives({ ...session, channel: rival(session.channel) }, rival(channel));
    if (isGiven || (session === null && !channel.isOffered)) this.openBy(channel);
    else if (!channel.isOffered) channel.close('superfluous');
  }

  /** Of the host that decides. */
  openBy(channel: Channel): void {
    const number = nextSession(this.#highest, channel.hello!);
    if (number > SESSION_MAX) {
      channel.close('protocol');
      return;
    }
    this.#take(channel, number, false);
    channel.last.send('control', OPEN, [encodeOpen(number)]);
  }

  /** Answers false where no more frames are wanted of the channel, which is closed then. */
  frame(channel: Channel, connection: Connection, kind: FrameKind, body: Buffer): boolean {
    const refusal = kind === MESSAGE ? this.#message(channel, connection, body) : this.#agreement(channel, kind, body);
    if (refusal !== null) channel.close(refusal);
    return refusal === null;
  }

  /** A channel was closed, by whomever. */
  closed(channel: Channel, reason: CloseReason): void {
    if (this.#session?.channel !== channel) return;
    this.#forget(reason);
    this.#tellLost();
  }

  /** May be called within `send` and the like: who has to know that an open session is gone is told a little later. */
  end(reason: CloseReason): void {
    const session = this.#session;
    if (session === null) return;
    this.#forget(reason);
    session.channel.close(reason);
    queueMicrotask(() => this.#tellLost());
  }

  /** Nobody is told anything any more. */
  silence(): void {
    this.#isSilent = true;
  }

  #agreement(channel: Channel, kind: FrameKind, body: Buffer): CloseReason | null {
    try {
      if (kind === OPEN && !this.#decides && channel.isComplete) return this.#openAsked(channel, decodeOpen(body));
      if (kind === OPENED && this.#decides) return this.#openAnswered(channel, decodeOpen(body));
    } catch (error) {
      if (error instanceof WireError) return 'garbage';
      throw error;
    }
    return 'protocol';
  }

  #openAsked(channel: Channel, number: number): CloseReason | null {
    if (number <= this.#highest) return 'stale';
    this.#take(channel, number, true);
    for (const connection of channel.connections) connection.send('control', OPENED, [encodeOpen(number)]);
    this.#opened();
    return null;
  }

  #openAnswered(channel: Channel, number: number): CloseReason | null {
    const session = this.#session;
    if (session?.channel !== channel || session.number !== number) return 'protocol';
    // It comes by each of the channel's connections, ahead of messages. When the first was sent, what is older was closed.
    if (session.isOpen) return null;
    session.isOpen = true;
    this.#opened();
    return null;
  }

  #message(channel: Channel, connection: Connection, body: Buffer): CloseReason | null {
    const session = this.#session;
    if (session === null || session.channel !== channel || !session.isOpen) return 'protocol';
    const { codec, events, host, note } = this.#options;
    let message: Message;
    try {
      message = codec.decode(body);
    } catch (error) {
      // Whatever the codec stumbled over came from there, and is no reason for this process to end.
      note(`host ${host} sends what is no message: ${(error as Error).message}`);
      return 'message';
    }
    if (!isOfLane(connection, codec.laneOf(message))) return 'protocol';
    events.received(host, session.number, message);
    return null;
  }

  /** The channel has the session from now on; what is older is closed. */
  #take(channel: Channel, number: number, isOpen: boolean): void {
    this.end('replaced');
    this.#highest = number;
    this.#session = { number, channel, isOpen, openedAtMs: performance.now() };
    this.#options.taken(channel);
  }

  #opened(): void {
    this.#tellLost();
    const session = this.#session;
    // Who was told may have had this pair closed.
    if (session === null) return;
    const { counters, note, events, host } = this.#options;
    session.openedAtMs = performance.now();
    counters.sessions++;
    note(`session ${session.number} with host ${host} is open, by ${session.channel.address}`);
    events.opened(host, session.number);
  }

  #forget(reason: CloseReason): void {
    const { number, isOpen, openedAtMs } = this.#session!;
    this.#session = null;
    if (isOpen) {
      this.#lost = number;
      this.#options.note(`session ${number} with host ${this.#options.host} is lost: ${reason}`);
    }
    this.#options.ended(isOpen && performance.now() - openedAtMs >= LASTING_MS);
  }

  #tellLost(): void {
    const number = this.#lost;
    if (number === null || this.#isSilent) return;
    this.#lost = null;
    this.#options.events.lost(this.#options.host, number);
  }
}

function rival(channel: Channel): Rival {
  return { hello: channel.hello!, isOffered: channel.isOffered };
}

function isOfLane(connection: Connection, lane: string): boolean {
  const { carries } = connection;
  return carries === CARRIES_BOTH || carries === (lane === 'control' ? CARRIES_CONTROL : CARRIES_DATA);
}

/** What the other end would refuse would be sent for ever. */
function checkBytes(parts: readonly Buffer[]): void {
  let bytes = 0;
  for (const part of parts) bytes += part.length;
  if (bytes > MESSAGE_BYTES_MAX) {
    throw new RangeError(`a message of ${bytes} bytes is longer than ${MESSAGE_BYTES_MAX}`);
  }
}
