import { formatHostPort, type HostPort } from './address.js';
import type { Introduction } from './introduction.js';
import { ADDRESSES_MAX } from './local-addresses.js';
import { REMEMBERED_MAX, type RememberedHost, type RememberedHosts } from './remembered-hosts.js';

/** A host as `/hosts` has it. */
export interface HostToFind {
  readonly id: string;
  /** Its Noise public key, in hexadecimal. */
  readonly publicKey: string;
  /** `HOST:PORT`, where it may be reached by TCP. */
  readonly addresses: readonly string[];
}

/** Another host of the cluster, and what is known of the way to it. */
export interface KnownHost {
  readonly id: string;
  readonly publicKey: Buffer;
  /** `HOST:PORT`, best first. */
  readonly addresses: readonly string[];
  /** Where its node of the DHT is, or was. */
  readonly dht: readonly HostPort[];
  /** Whether the host itself has told this since this process began. */
  readonly isFresh: boolean;
}

/** The other hosts of the cluster: who is let in, and what is remembered of each. */
export class KnownHosts {
  readonly #self: string;
  readonly #memory: RememberedHosts;
  /** By public key, in hexadecimal. */
  readonly #hosts = new Map<string, KnownHost>();

  constructor(self: string, memory: RememberedHosts) {
    this.#self = self;
    this.#memory = memory;
    for (const remembered of memory.hosts) {
      if (remembered.id !== self) this.#put(ofMemory(remembered));
    }
  }

  get all(): readonly KnownHost[] {
    return [...this.#hosts.values()];
  }

  get(publicKey: Buffer): KnownHost | undefined {
    return this.#hosts.get(publicKey.toString('hex'));
  }

  /** Exactly these are the cluster's hosts now. Answers those that are not any more, and those whose addresses are new. */
  set(hosts: readonly HostToFind[]): { gone: KnownHost[]; changed: KnownHost[] } {
    const before = new Map(this.#hosts);
    this.#hosts.clear();
    const changed: KnownHost[] = [];
    for (const { id, publicKey, addresses } of hosts.slice(0, REMEMBERED_MAX)) {
      if (id === this.#self) continue;
      const key = publicKey.toLowerCase();
      const known = before.get(key);
      const host = merged(known?.id === id ? known : undefined, id, Buffer.from(key, 'hex'), addresses);
      this.#put(host);
      if (!known || known.addresses.join() !== host.addresses.join()) changed.push(host);
    }
    this.#remember();
    return { gone: [...before].filter(([key]) => !this.#hosts.has(key)).map(([, host]) => host), changed };
  }

  /** The host has introduced itself, by packets from `remoteHost`. */
  told(publicKey: Buffer, { links, dht }: Introduction, remoteHost: string): KnownHost {
    const host: KnownHost = {
      ...this.get(publicKey)!,
      addresses: withSeen(links, remoteHost).map(formatHostPort),
      dht: withSeen(dht, remoteHost),
      isFresh: true,
    };
    this.#put(host);
    this.#remember();
    return host;
  }

  #put(host: KnownHost): void {
    this.#hosts.set(host.publicKey.toString('hex'), host);
  }

  #remember(): void {
    this.#memory.replace(this.all.map(toMemory));
  }
}

/** What the host has told is newer than what the store has of it, and that is newer than what was remembered. */
function merged(known: KnownHost | undefined, id: string, publicKey: Buffer, addresses: readonly string[]): KnownHost {
  if (known?.isFresh) return known;
  const all = [...new Set([...addresses, ...(known?.addresses ?? [])])].slice(0, ADDRESSES_MAX);
  return { id, publicKey, addresses: all, dht: known?.dht ?? [], isFresh: false };
}

/** Behind a translation of addresses a host does not know the one that others see, but its ports are often kept. */
function withSeen(told: readonly HostPort[], remoteHost: string): HostPort[] {
  const [first] = told;
  if (!first || told.some(({ host }) => host === remoteHost)) return [...told];
  return [...told.slice(0, ADDRESSES_MAX - 1), { host: remoteHost, port: first.port }];
}

function ofMemory({ id, publicKey, addresses, dht }: RememberedHost): KnownHost {
  return { id, publicKey: Buffer.from(publicKey, 'hex'), addresses, dht, isFresh: false };
}

function toMemory({ id, publicKey, addresses, dht }: KnownHost): RememberedHost {
  return { id, publicKey: publicKey.toString('hex'), addresses: [...addresses], dht: [...dht] };
}
