/** Discovery of several hosts in this process, and a swarm that says what it likes. */
import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import HyperDHT from 'hyperdht';
import Hyperswarm from 'hyperswarm';
import { Discovery, type SwarmStream } from '../../lib/net/discovery.js';
import { type HostKeyPair, openHostKey } from '../../lib/net/host-key.js';
import { keyedHash } from '../../lib/net/keyed-hash.js';
import type { HostToFind } from '../../lib/net/known-hosts.js';
import type { Interfaces } from '../../lib/net/local-addresses.js';
import { type RememberedHost, RememberedHosts } from '../../lib/net/remembered-hosts.js';
import { temporaryDirectory } from './cleanup.js';
import type { Teardowns } from './scope.js';
import { freePort } from './swarm-hosts.js';

export interface TestDiscovery {
  readonly cluster: DiscoveryCluster;
  readonly id: string;
  readonly discovery: Discovery;
  readonly toFind: HostToFind;
  /** Of each other host, the newest. */
  readonly streams: Map<string, SwarmStream>;
  readonly found: Map<string, readonly string[]>;
  readonly linked: Set<string>;
  readonly warnings: string[];
  interfaces: Interfaces;
  /** What is to be done with a stream. */
  offer: (host: string, stream: SwarmStream) => void;
}

export class DiscoveryCluster {
  readonly secret: Buffer;
  readonly #t: Teardowns;
  readonly #root: string;
  #first: Discovery | null = null;

  private constructor(t: Teardowns, root: string, secret: Buffer) {
    this.secret = secret;
    this.#t = t;
    this.#root = root;
  }

  static async make(t: Teardowns, secret: Buffer = randomBytes(32)): Promise<DiscoveryCluster> {
    return new DiscoveryCluster(t, await temporaryDirectory(t), secret);
  }

  /** A host that is not started yet. The first one is where the others ask. */
  async host(
    id: string,
    { listen = '127.0.0.1', remembered = [] }: { listen?: string; remembered?: RememberedHost[] } = {},
  ): Promise<TestDiscovery> {
    const directory = join(this.#root, id);
    await mkdir(directory);
    const keyPair = await openHostKey(directory);
    if (remembered.length > 0) await RememberedHosts.begin(directory, remembered, () => {});
    const host = {
      cluster: this,
      ...{ id, streams: new Map(), found: new Map(), linked: new Set<string>(), warnings: [] as string[] },
      toFind: { id, publicKey: keyPair.publicKey.toString('hex'), addresses: [] },
      interfaces: networkInterfaces() as Interfaces,
      offer: (() => {}) as TestDiscovery['offer'],
    };
    const discovery = await Discovery.open({
      ...{ host: id, secret: this.secret, keyPair, directory, bootstrap: this.#bootstrap },
      dht: { port: await freePort(), host: '127.0.0.1' },
      listen: { host: listen, port: await freePort() },
      events: {
        found: (other, addresses) => host.found.set(other, addresses),
        stream: (other, stream) => {
          stream.on('error', () => {});
          host.streams.set(other, stream);
          host.offer(other, stream);
          stream.on('close', () => {
            if (host.streams.get(other) === stream) host.streams.delete(other);
          });
        },
      },
      isLinked: (other) => host.linked.has(other),
      log: { warn: (line) => host.warnings.push(line), debug: () => {} },
      interfaces: () => host.interfaces,
    });
    this.#t.teardown(() => discovery.close());
    this.#first ??= discovery;
    return Object.assign(host, { discovery });
  }

  /** A swarm on the hosts' topic that follows no rule; `connected` gets each of its connections. */
  async intruder(keyPair: HostKeyPair, connected: (stream: HyperDHT.SecretStream) => void): Promise<Hyperswarm> {
    const bootstrap = this.#bootstrap.map((address) => {
      const [host, port] = address.split(':');
      return { host: host!, port: Number(port) };
    });
    const dht = new HyperDHT({ host: '127.0.0.1', bootstrap, nodes: [], ephemeral: false, firewalled: false });
    const swarm = new Hyperswarm({ dht, keyPair });
    this.#t.teardown(async () => {
      await Promise.all([swarm.clear(), swarm.destroy({ force: true }), dht.destroy({ force: true })]);
    });
    swarm.on('connection', (stream) => {
      // Whatever happens to it is what the test is about.
      stream.on('error', () => {});
      stream.on('data', () => {});
      connected(stream);
    });
    const session = swarm.join(keyedHash(this.secret, 'topic of the hosts'));
    const timer = setInterval(() => session.refresh().catch(() => {}), 200);
    this.#t.teardown(() => clearInterval(timer), { order: -1 });
    return swarm;
  }

  get #bootstrap(): string[] {
    return this.#first?.dhtAddresses ?? [];
  }
}
