import type { HostRecord } from '../cluster/host-record.js';
import type { HostPort } from '../net/address.js';
import type { HostCredentials } from '../net/credentials.js';
import { Discovery } from '../net/discovery.js';
import type { HostKeyPair } from '../net/host-key.js';
import type { LinkEvents, Links } from '../net/links.js';
import { TlsLinks } from '../net/tls-links.js';
import type { Message } from '../replication/messages.js';
import { messageCodec } from '../replication/wire/message-codec.js';
import type { HostNetwork } from './host-network.js';
import type { Logger } from './log.js';

export interface ClusterNetworkOptions {
  readonly host: string;
  /** Higher than that of every earlier process of this host. */
  readonly incarnation: number;
  readonly credentials: HostCredentials;
  /** Of the cluster, 32 bytes. */
  readonly secret: Uint8Array;
  readonly keyPair: HostKeyPair;
  /** Where what is remembered of other hosts is kept. */
  readonly directory: string;
  readonly listen: HostPort;
  readonly bootstrap: readonly string[];
  readonly log: Logger;
  /** A host is, or may be, reached at these addresses (`HOST:PORT`). */
  found(host: string, addresses: readonly string[]): void;
}

/** The other hosts: finds them, and keeps links to those that the cluster has. */
export class ClusterNetwork implements HostNetwork {
  readonly publicKey: string;
  readonly discovery: Discovery;
  readonly #links: TlsLinks<Message>;
  readonly #relay: Relay;
  /** By host, where it was found; better than what is on record, which may be old. */
  readonly #found = new Map<string, readonly string[]>();
  #hosts: readonly HostRecord[] = [];
  #isAttached = false;

  private constructor(keyPair: HostKeyPair, discovery: Discovery, links: TlsLinks<Message>, relay: Relay) {
    this.publicKey = keyPair.publicKey.toString('hex');
    this.discovery = discovery;
    this.#links = links;
    this.#relay = relay;
  }

  /** Takes the ports, and begins to look for the hosts that are remembered. Throws NetError, ListenError. */
  static async open(options: ClusterNetworkOptions): Promise<ClusterNetwork> {
    const { host, incarnation, credentials, secret, keyPair, directory, listen, bootstrap, log } = options;
    const relay = new Relay();
    const links = await TlsLinks.open<Message>({
      ...{ host, incarnation, credentials, listen, codec: messageCodec, events: relay },
      isAdmitted: (peer) => network.#isAdmitted(peer),
      note: (what) => log.debug(`links: ${what}`),
    });
    let discovery: Discovery;
    try {
      discovery = await Discovery.open({
        ...{ host, secret, keyPair, directory, listen, bootstrap },
        dht: { port: listen.port, host: listen.host },
        events: {
          found: (peer, addresses) => {
            network.#foundAt(peer, addresses);
            options.found(peer, addresses);
          },
          stream: (peer, stream) => links.offer(peer, stream),
        },
        isLinked: (peer) => links.isConnected(peer),
        log: { warn: (line) => log.warn(line), debug: (line) => log.debug(line) },
      });
    } catch (error) {
      await links.close();
      throw error;
    }
    const network: ClusterNetwork = new ClusterNetwork(keyPair, discovery, links, relay);
    discovery.start();
    return network;
  }

  get addresses(): readonly string[] {
    return this.discovery.addresses;
  }

  /** Whether there is a link to the host now. */
  isConnected(host: string): boolean {
    return this.#links.isConnected(host);
  }

  attach(events: LinkEvents<Message>): Links<Message> {
    this.#relay.target = events;
    this.#isAttached = true;
    this.#setPeers();
    return this.#links;
  }

  /** The hosts that the cluster has: links to all others end at once, and none is let in. */
  setHosts(hosts: readonly HostRecord[]): void {
    this.#hosts = hosts;
    this.discovery.setKnown(hosts.filter(({ publicKey }) => publicKey !== ''));
    this.#setPeers();
  }

  async close(): Promise<void> {
    await this.discovery.close();
    await this.#links.close();
  }

  #isAdmitted(host: string): boolean {
    return this.#hosts.some(({ id }) => id === host);
  }

  #foundAt(host: string, addresses: readonly string[]): void {
    this.#found.set(host, addresses);
    this.#setPeers();
  }

  #setPeers(): void {
    if (!this.#isAttached) return;
    const peers = this.#hosts.map(
      ({ id, addresses }) => [id, { addresses: this.#found.get(id) ?? addresses }] as const,
    );
    this.#links.setPeers(new Map(peers));
  }
}

/** Events go to who is made after the links are. */
class Relay implements LinkEvents<Message> {
  target: LinkEvents<Message> | null = null;

  opened(host: string, session: number): void {
    this.target!.opened(host, session);
  }

  lost(host: string, session: number): void {
    this.target!.lost(host, session);
  }

  received(host: string, session: number, message: Message): void {
    this.target!.received(host, session, message);
  }
}
