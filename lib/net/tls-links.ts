import { randomBytes } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { HostPort } from './address.js';
import { sessionsBefore } from './agreement.js';
import type { ByteStream } from './byte-stream.js';
import { type CloseReason, LinkCounters } from './close-reason.js';
import { TICK_MS } from './connection.js';
import type { HostCredentials } from './credentials.js';
import { PROCESS_BYTES } from './hello.js';
import type { LinkEvents, Links, MessageCodec } from './links.js';
import { Peer, type PeerOptions } from './peer.js';
import { TlsEndpoint } from './tls-endpoint.js';

/**
 * Bytes of one lane that wait to be written to one host. Above it the host does not keep up, and the session ends: what was asked
 * goes again by the next one. It is far above what may be asked of a host at a time (64 requests of guests, of 1 MiB,
 * and some of recovery), so a slow network does not reach it: else the next session would begin with as much as ended this one.
 */
export const QUEUE_BYTES_MAX = 256 * 1024 * 1024;

export interface TlsLinksOptions<Message> {
  /** This host's id. */
  readonly host: string;
  /** Stored, and higher than that of every earlier process of this host. */
  readonly incarnation: number;
  readonly credentials: HostCredentials;
  /** Port 0: any that is free. */
  readonly listen: HostPort;
  readonly codec: MessageCodec<Message>;
  /** Never called within a call of the links. */
  readonly events: LinkEvents<Message>;
  /** Whether `/hosts` still has the host. */
  isAdmitted(host: string): boolean;
  /** For the log: one line, without a full stop. */
  note?(what: string): void;
  /** For tests: instead of QUEUE_BYTES_MAX. */
  readonly queueBytesMax?: number;
}

export interface PeerAddresses {
  /** HOST:PORT each. None: the host has to dial. */
  readonly addresses: readonly string[];
}

/**
 * Links over TCP, two connections for each pair of hosts, under TLS 1.3 with certificates at both ends. Where there is no
 * TCP, over a stream that was offered.
 *
 * Every `opened` is followed by one `lost`, before the next `opened` of the pair, unless the links are closed: from then
 * on nothing is called. What was sent is its sender's again when `send` returns; what is received is the receiver's.
 */
export class TlsLinks<Message> implements Links<Message> {
  readonly counters = new LinkCounters();
  readonly #options: TlsLinksOptions<Message>;
  readonly #peers = new Map<string, Peer<Message>>();
  /** Of hosts that were peers: the highest session, which a later one is above. */
  readonly #highest = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;
  #endpoint!: TlsEndpoint;
  #context!: Omit<PeerOptions<Message>, 'host'>;
  #closing: Promise<void> | null = null;

  /** Listens; there are no sessions before `setPeers`. Throws NetError PORT_IN_USE, NO_ACCESS. */
  static async open<Message>(options: TlsLinksOptions<Message>): Promise<TlsLinks<Message>> {
    const links = new TlsLinks(options);
    try {
      await links.#open();
    } catch (error) {
      clearInterval(links.#timer);
      throw error;
    }
    return links;
  }

  private constructor(options: TlsLinksOptions<Message>) {
    this.#options = options;
    this.#timer = setInterval(() => {
      for (const peer of this.#peers.values()) peer.tick();
    }, TICK_MS);
  }

  /** On which it listens. */
  get port(): number {
    return this.#endpoint.port;
  }

  /** Whether there is an open session with the host. */
  isConnected(host: string): boolean {
    return this.#peers.get(host)?.isConnected ?? false;
  }

  send(host: string, message: Message, session?: number): number | null {
    return this.#peers.get(host)?.send(message, session) ?? null;
  }

  /**
   * With whom this host is to be connected; all others are refused. Links with a host that is missing are closed, at once,
   * and its addresses forgotten. Whatever this host itself is given as is left out.
   */
  setPeers(peers: ReadonlyMap<string, PeerAddresses>): void {
    if (this.#closing !== null) return;
    for (const [host, peer] of this.#peers) {
      if (peers.has(host)) continue;
      this.#peers.delete(host);
      this.#highest.set(host, peer.highest);
      peer.close('removed');
    }
    for (const [host, { addresses }] of peers) {
      if (host === this.#options.host) continue;
      let peer = this.#peers.get(host);
      if (peer === undefined) {
        peer = new Peer(
          { ...this.#context, host },
          this.#highest.get(host) ?? sessionsBefore(this.#options.incarnation),
        );
        this.#peers.set(host, peer);
      }
      peer.addresses = addresses;
    }
  }

  /**
   * A stream to that host, which the caller knows it to be; the host has to be offered the other end. It is used while
   * there is no TCP, and is destroyed when a session that went by it is over, when another one is offered, or when the
   * host is no peer. Whoever offers makes and offers another then.
   */
  offer(host: string, stream: ByteStream): void {
    const peer = this.#admitted(host, stream);
    peer?.offer(stream);
  }

  /** Ends all sessions. Nothing is called afterwards. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #open(): Promise<void> {
    const { host, credentials, listen, codec, events, note, queueBytesMax } = this.#options;
    const isAdmitted = (peer: string) => this.#options.isAdmitted(peer);
    this.#endpoint = await TlsEndpoint.open({
      ...{ credentials, listen },
      accepted: (peer, socket) => this.#accepted(peer, socket),
      refused: (reason) => this.#refused(reason),
    });
    this.#context = {
      ...{ own: host, codec, events, counters: this.counters },
      process: randomBytes(PROCESS_BYTES),
      queueBytesMax: queueBytesMax ?? QUEUE_BYTES_MAX,
      dial: (peer, address, { connected, failed }) =>
        this.#endpoint.dial(peer, address, {
          connected: (stream) => {
            if (isAdmitted(peer)) return connected(stream);
            stream.destroy();
            failed('not-admitted');
          },
          failed,
        }),
      note: note ?? (() => {}),
    };
  }

  async #close(): Promise<void> {
    clearInterval(this.#timer);
    for (const peer of this.#peers.values()) peer.close('shutdown');
    this.#peers.clear();
    await this.#endpoint.close();
  }

  #accepted(host: string, socket: TLSSocket): void {
    const peer = this.#admitted(host, socket);
    peer?.accept(socket, `${socket.remoteAddress}:${socket.remotePort}`);
  }

  /** Null, and the stream is destroyed, where nothing is to be had to do with the host. */
  #admitted(host: string, stream: ByteStream): Peer<Message> | null {
    const peer = this.#closing === null ? this.#peers.get(host) : undefined;
    const isAdmitted = this.#options.isAdmitted(host);
    if (peer !== undefined && isAdmitted) return peer;
    // What it may still say, or fail of, is of no interest.
    stream.on('error', () => {});
    stream.destroy();
    this.#refused(isAdmitted ? 'not-a-peer' : 'not-admitted');
    return null;
  }

  #refused(reason: CloseReason): void {
    this.counters.closed[reason]++;
  }
}
