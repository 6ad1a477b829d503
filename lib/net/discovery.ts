import { isIPv4 } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Duplex } from 'node:stream';
import type HyperDHT from 'hyperdht';
import Hyperswarm from 'hyperswarm';
import { formatHostPort, type HostPort, parseHostPort } from './address.js';
import { ClusterDht } from './cluster-dht.js';
import type { HostKeyPair } from './host-key.js';
import type { Introduction } from './introduction.js';
import { keyedHash } from './keyed-hash.js';
import { type HostToFind, type KnownHost, KnownHosts } from './known-hosts.js';
import { WireError } from './links.js';
import { addressesToTell, type Interfaces } from './local-addresses.js';
import { type RememberedHost, RememberedHosts } from './remembered-hosts.js';
import { SEEK_INTERVAL_MS, Seeker } from './seeker.js';
import { sourceAddressTo } from './source-address.js';
import { SwarmConnection } from './swarm-connection.js';

/** Attempts to connect that are under way at once. */
const ATTEMPTS_MAX = 64;
/**
 * While a connection is younger, its other end's own attempt to connect is one that has crossed ours, and that it has
 * given up for this one. Hyperswarm would take it for a sign that the other end has started anew, and close this one.
 */
const CROSSING_MS = 1000 * 2; // 2 s
/** A connection on which the other end is still silent after this is not known there any more if it dials us. */
const SILENCE_MS = 1000; // 1 s

/** A stream of bytes to another host by way of the swarm: encrypted, and the other end is known to be that host. */
export type SwarmStream = Duplex & {
  /** True at one end, false at the other. */
  readonly isInitiator: boolean;
};

export interface DiscoveryEvents {
  /**
   * The host may be reached by TCP at one of these (`HOST:PORT`, best first). Said of every known host that has an
   * address when discovery starts, and again whenever a host has introduced itself or its addresses have changed.
   */
  found(host: string, addresses: readonly string[]): void;
  /**
   * A way to the host where TCP fails. Both ends get one with each connection of the swarm; it costs nothing while nobody
   * writes to it. Who does not need it leaves it alone: closing it at either end closes the connection, after which there
   * will be another one, with a stream of its own.
   */
  stream(host: string, stream: SwarmStream): void;
}

export interface DiscoveryOptions {
  /** This host's id. */
  readonly host: string;
  /** Of the cluster, 32 bytes. */
  readonly secret: Uint8Array;
  readonly keyPair: HostKeyPair;
  /** Where what is remembered of the others is kept. */
  readonly directory: string;
  /** UDP port of this host's node of the DHT, and the address to bind: all of them (`0.0.0.0`) unless given. */
  readonly dht: { readonly port: number; readonly host?: string };
  /** Nodes of the DHT to ask when no other host is remembered: `HOST:PORT`. */
  readonly bootstrap: readonly string[];
  /** Where this host listens for links of TCP. */
  readonly listen: HostPort;
  readonly events: DiscoveryEvents;
  /** Whether there is a link to the host: it is looked for without hurry then. */
  isLinked(host: string): boolean;
  /** For the administrator, and for whoever looks for a defect. */
  readonly log: { warn(line: string): void; debug(line: string): void };
  /** This host's addresses; the kernel's answer unless given. */
  readonly interfaces?: () => Interfaces;
}

/**
 * Finds the other hosts of the cluster, whatever their addresses are, and is found by them: by a topic of the cluster's
 * own DHT, and by what this host remembers of them.
 */
export class Discovery {
  readonly #options: DiscoveryOptions;
  readonly #memory: RememberedHosts;
  readonly #known: KnownHosts;
  readonly #dht: ClusterDht;
  readonly #swarm: Hyperswarm;
  readonly #seeker: Seeker;
  /** By the other's public key, in hexadecimal. */
  readonly #connections = new Map<string, SwarmConnection>();
  #introduction: Introduction;
  #timer: NodeJS.Timeout | null = null;
  #closing: Promise<void> | null = null;

  private constructor(options: DiscoveryOptions, bootstrap: HostPort[], memory: RememberedHosts, dht: ClusterDht) {
    this.#options = options;
    this.#memory = memory;
    this.#known = new KnownHosts(options.host, memory);
    this.#dht = dht;
    this.#introduction = introductionOf(options);
    dht.setAdmission((publicKey) => this.#admits(publicKey));
    this.#swarm = new Hyperswarm({
      dht,
      keyPair: options.keyPair,
      maxPeers: Number.POSITIVE_INFINITY,
      maxParallel: ATTEMPTS_MAX,
      firewall: (publicKey, payload) => this.#refuses(publicKey, payload !== null),
    });
    this.#swarm.on('connection', (socket) => this.#connected(socket));
    // Who is refused today may be let in tomorrow, and strangers are not to fill the memory.
    this.#swarm.on('ban', (peer) => {
      peer.ban(false);
      if (!this.#known.get(peer.publicKey)) this.#swarm.peers.delete(peer.publicKey.toString('hex'));
    });
    this.#seeker = new Seeker({
      ...{ dht, swarm: this.#swarm, bootstrap, topic: keyedHash(options.secret, 'topic of the hosts') },
      missing: () => this.#known.all.filter(({ publicKey }) => !this.#connectionOf(publicKey)?.isIntroduced),
      isLinked: options.isLinked,
    });
  }

  /** Takes the port; nothing is said of other hosts before `start`. Throws NetError. */
  static async open(options: DiscoveryOptions): Promise<Discovery> {
    const bootstrap = options.bootstrap.map(parseHostPort);
    const memory = await RememberedHosts.open(options.directory, options.log.warn);
    const { port, host = '0.0.0.0' } = options.dht;
    const others = [...memory.hosts.flatMap(({ dht }) => dht), ...bootstrap];
    const dht = await ClusterDht.open({ port, host, address: await addressSeenBy(options, others) });
    return new Discovery(options, bootstrap, memory, dht);
  }

  /** This host's node of the DHT, for what else is to be found by it. It is closed with this. */
  get dht(): HyperDHT {
    return this.#dht;
  }

  /** Where this host's node of the DHT can be reached: `HOST:PORT`. */
  get dhtAddresses(): string[] {
    return this.#introduction.dht.map(formatHostPort);
  }

  /** Where others may reach this host by TCP: `HOST:PORT`. */
  get addresses(): string[] {
    return this.#introduction.links.map(formatHostPort);
  }

  /** Nodes of the DHT by which the cluster can be found, one of each host first: `HOST:PORT`. */
  get bootstrap(): string[] {
    const hosts = this.hosts.map(({ dht }) => dht.map(formatHostPort));
    return [...hosts.flatMap(([first]) => first ?? []), ...hosts.flatMap(([, ...others]) => others)];
  }

  /** This host and the others, as one that joins is to remember them. */
  get hosts(): RememberedHost[] {
    const { host: id, keyPair } = this.#options;
    const publicKey = keyPair.publicKey.toString('hex');
    const dht = [...this.#introduction.dht];
    return [{ id, publicKey, addresses: this.addresses, dht }, ...this.#memory.hosts];
  }

  /** Begins to look for the hosts that are remembered. */
  start(): void {
    if (this.#timer || this.#closing) return;
    this.#timer = setInterval(() => this.#tick(), SEEK_INTERVAL_MS);
    for (const host of this.#known.all) this.#found(host);
    this.#seeker.seek();
  }

  /**
   * The hosts of the cluster, as `/hosts` has them: they are looked for and let in, and no others. This host may be among
   * them. Those that were remembered count until this is called.
   */
  setKnown(hosts: readonly HostToFind[]): void {
    if (this.#closing) return;
    const { gone, changed } = this.#known.set(hosts);
    for (const { publicKey } of gone) this.#forget(publicKey);
    if (!this.#timer) return;
    for (const host of changed) this.#found(host);
    if (changed.length > 0) this.#seeker.hurry();
    this.#seeker.seek();
  }

  /** Idempotent; resolves when nothing is left of it. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#timer) clearInterval(this.#timer);
    this.#seeker.close();
    for (const connection of this.#connections.values()) connection.close();
    // The node goes at once: others that have gone too would have to be waited for, to tell them.
    const cleared = this.#swarm.clear();
    const swarm = this.#swarm.destroy({ force: true });
    await this.#dht.destroy({ force: true });
    await Promise.all([cleared, swarm]);
    await this.#memory.close();
  }

  #connectionOf(publicKey: Buffer): SwarmConnection | undefined {
    return this.#connections.get(publicKey.toString('hex'));
  }

  #tick(): void {
    const introduction = introductionOf(this.#options);
    if (JSON.stringify(introduction) !== JSON.stringify(this.#introduction)) {
      this.#options.log.debug(`this host's addresses are now ${introduction.links.map(formatHostPort).join(', ')}`);
      this.#introduction = introduction;
      for (const connection of this.#connections.values()) connection.introduce(introduction);
    }
    this.#seeker.seek();
  }

  #refuses(publicKey: Buffer, isIncoming: boolean): boolean {
    if (!this.#known.get(publicKey)) return true;
    if (!isIncoming) return false;
    this.#dht.giveWay(publicKey);
    return false;
  }

  /** Whether a connection that the host with this key has made is to be had, instead of one that is there. */
  #admits(publicKey: Buffer): boolean {
    const connection = this.#connectionOf(publicKey);
    if (!connection) return true;
    if (connection.isIntroduced) return connection.ageMs > CROSSING_MS;
    if (connection.ageMs < SILENCE_MS) return true;
    // Hyperswarm has a rule which of two to keep, and by that it could be this one: the next attempt finds it gone.
    connection.close();
    return false;
  }

  #connected(socket: HyperDHT.SecretStream): void {
    const key = socket.remotePublicKey;
    const host = this.#known.get(key);
    const connection: SwarmConnection = new SwarmConnection(socket, this.#introduction, {
      introduced: (introduction) => this.#introduced(key, introduction, connection),
      tunnel: (tunnel) => this.#options.events.stream(this.#known.get(key)!.id, tunnel),
      closed: (error) => this.#disconnected(key, connection, error),
    });
    // One that is not known any more has been let in just before.
    if (!host || this.#closing) connection.close();
    else this.#connections.set(key.toString('hex'), connection);
  }

  #introduced(publicKey: Buffer, introduction: Introduction, connection: SwarmConnection): void {
    const { id } = this.#known.get(publicKey)!;
    if (introduction.host !== id) throw new WireError(`the key of host ${id} says that it is ${introduction.host}`);
    this.#found(this.#known.told(publicKey, introduction, connection.remoteHost));
  }

  #disconnected(publicKey: Buffer, connection: SwarmConnection, error: Error | null): void {
    const id = this.#known.get(publicKey)?.id ?? publicKey.toString('hex');
    if (error instanceof WireError) this.#options.log.warn(`connection to host ${id} closed: ${error.message}`);
    else this.#options.log.debug(`connection to host ${id} closed: ${error?.message ?? 'it was meant to be'}`);
    if (this.#connectionOf(publicKey) !== connection) return;
    this.#connections.delete(publicKey.toString('hex'));
    this.#seeker.hurry();
  }

  #found({ id, addresses }: KnownHost): void {
    if (addresses.length > 0) this.#options.events.found(id, addresses);
  }

  #forget(publicKey: Buffer): void {
    this.#swarm.leavePeer(publicKey);
    this.#dht.forget(publicKey);
    this.#connectionOf(publicKey)?.close();
  }
}

function introductionOf({ host, listen, dht, interfaces = networkInterfaces }: DiscoveryOptions): Introduction {
  const found = interfaces();
  const at = (addresses: string[], port: number) => addresses.map((address) => ({ host: address, port }));
  const dhtHost = dht.host ?? (isIPv4(listen.host) ? listen.host : '0.0.0.0');
  return {
    host,
    links: at(addressesToTell(listen.host, found), listen.port),
    dht: at(addressesToTell(dhtHost, found), dht.port),
  };
}

/** The address that others see this host by: what its packets to one of them carry, if there is a way to any. */
async function addressSeenBy(options: DiscoveryOptions, others: readonly HostPort[]): Promise<string> {
  const own = introductionOf(options).dht;
  if (options.dht.host && options.dht.host !== '0.0.0.0') return options.dht.host;
  for (const { host, port } of others) {
    const address = await sourceAddressTo(host, port);
    if (address) return address;
  }
  return own[0]?.host ?? '127.0.0.1';
}
