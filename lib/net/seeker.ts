import { lookup } from 'node:dns/promises';
import { isIPv4 } from 'node:net';
import type Hyperswarm from 'hyperswarm';
import type { HostPort } from './address.js';
import type { ClusterDht, DhtAddress } from './cluster-dht.js';
import type { KnownHost } from './known-hosts.js';

/** Between two rounds of looking for hosts that are missing: those that start at once find nobody at the first. */
export const SEEK_INTERVAL_MS = 1000; // 1 s
/** A host that was missing for so long may stay away: every tenth round does then, for it will come by itself. */
const EAGER_MS = 1000 * 60; // 1 min
const IDLE_ROUNDS = 10;

export interface SeekerOptions {
  readonly dht: ClusterDht;
  readonly swarm: Hyperswarm;
  readonly topic: Buffer;
  /** Nodes of the DHT that the administrator has named. */
  readonly bootstrap: readonly HostPort[];
  /** Hosts that the swarm has no connection with. */
  missing(): readonly KnownHost[];
  /** Whether there is another way to the host: it is looked for without hurry, as a second way. */
  isLinked(host: string): boolean;
}

/**
 * Looks for the hosts that are missing: dials their keys where their nodes of the DHT were last, and asks for the topic
 * whoever of the DHT answers.
 */
export class Seeker {
  readonly #options: SeekerOptions;
  readonly #session: Hyperswarm.Session;
  readonly #pings = new Set<string>();
  #round = 0;
  #completeMs = performance.now();
  #isClosed = false;

  constructor(options: SeekerOptions) {
    this.#options = options;
    this.#session = options.swarm.join(options.topic);
  }

  /** Looks again every second for a while, whatever was before. */
  hurry(): void {
    this.#completeMs = performance.now();
  }

  /** To be called every SEEK_INTERVAL_MS, and whenever there is something new. */
  seek(): void {
    if (this.#isClosed) return;
    const missing = this.#options.missing();
    const unreached = missing.filter(({ id }) => !this.#options.isLinked(id));
    if (unreached.length === 0) this.hurry();
    const isIdle = unreached.length === 0 || performance.now() - this.#completeMs > EAGER_MS;
    const hosts = this.#round++ % IDLE_ROUNDS === 0 ? missing : isIdle ? [] : unreached;
    if (hosts.length === 0) return;
    for (const host of hosts) this.#seekHost(host);
    for (const address of this.#options.bootstrap) this.#pingNamed(address);
    this.#lookUp();
  }

  close(): void {
    this.#isClosed = true;
  }

  get #isAlone(): boolean {
    return this.#options.dht.toArray({ limit: 1 }).length === 0;
  }

  #seekHost({ publicKey, dht }: KnownHost): void {
    for (const address of dht) {
      this.#ping(address, () => {
        this.#options.dht.setRoute(publicKey, address);
        this.#options.swarm.joinPeer(publicKey);
      });
    }
    this.#options.swarm.joinPeer(publicKey);
  }

  #pingNamed({ host, port }: HostPort): void {
    if (isIPv4(host)) {
      this.#ping({ host, port });
      return;
    }
    lookup(host, { family: 4 }).then(
      ({ address }) => this.#ping({ host: address, port }),
      // A name that is not known now may be at the next round.
      () => {},
    );
  }

  /** A node that answers is taken into the DHT; a look-up with the first of them finds more than one before it did. */
  #ping(address: DhtAddress, answered?: () => void): void {
    const id = `${address.host}:${address.port}`;
    if (this.#isClosed || this.#pings.has(id)) return;
    this.#pings.add(id);
    const wasAlone = this.#isAlone;
    this.#options.dht
      .ping(address, { retry: false })
      .then(
        () => {
          if (this.#isClosed) return;
          answered?.();
          if (wasAlone) this.#lookUp();
        },
        // Nobody is there; the next round asks again.
        () => {},
      )
      .finally(() => this.#pings.delete(id));
  }

  #lookUp(): void {
    if (this.#isClosed) return;
    // It answers false rather than to reject, but for a swarm that is closed.
    this.#session.refresh().catch(() => {});
  }
}
