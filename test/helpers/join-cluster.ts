/** A cluster that hosts join: a coordination store, a node of the DHT and what answers there, as often as is asked for. */
import { randomBytes, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import HyperDHT from 'hyperdht';
import type { Coordination } from '../../lib/coordination/coordination.js';
import { openLocal } from '../../lib/coordination/local.js';
import { ClusterDht } from '../../lib/net/cluster-dht.js';
import type { JoinRequest, Welcome } from '../../lib/net/join-messages.js';
import { JoinServer } from '../../lib/net/join-server.js';
import { createToken, type TokenOptions } from '../../lib/net/token.js';
import { temporaryDirectory } from './cleanup.js';
import type { Teardowns } from './scope.js';
import { freePort } from './swarm-hosts.js';

export class JoinCluster {
  readonly secret = randomBytes(32);
  readonly coordination: Coordination;
  readonly requests: JoinRequest[] = [];
  readonly log: string[] = [];
  /** Wall clock of the hosts, in milliseconds from now. */
  shiftMs = 0;
  /** What the cluster does with a host that has proved the token. */
  welcome: (request: JoinRequest) => Promise<Welcome> = async (request) => welcomeOf(request, this.secret);
  readonly #t: Teardowns;

  private constructor(t: Teardowns, coordination: Coordination) {
    this.#t = t;
    this.coordination = coordination;
  }

  static async make(t: Teardowns): Promise<JoinCluster> {
    const directory = await temporaryDirectory(t);
    const coordination = await openLocal(join(directory, 'coordination'));
    t.teardown(() => coordination.close(), { order: 10 });
    return new JoinCluster(t, coordination);
  }

  /** A host of the cluster, on this port. */
  async host(port: number): Promise<{ dht: ClusterDht; server: JoinServer }> {
    const dht = await ClusterDht.open({ port, host: '127.0.0.1', address: '127.0.0.1' });
    const server = new JoinServer({
      ...{ dht, secret: this.secret, coordination: this.coordination },
      welcome: (request) => {
        this.requests.push(request);
        return this.welcome(request);
      },
      log: { info: (line) => this.log.push(line), warn: (line) => this.log.push(line) },
      now: () => Date.now() + this.shiftMs,
    });
    this.#t.teardown(async () => {
      await Promise.all([server.close(), dht.destroy({ force: true })]);
    });
    return { dht, server };
  }

  token(ports: number[], options: Partial<TokenOptions> = {}): Promise<string> {
    const bootstrap = ports.map((port) => `127.0.0.1:${port}`);
    const now = () => Date.now() + this.shiftMs;
    return createToken(this.coordination, { secret: this.secret, bootstrap, now, ...options });
  }
}

export function welcomeOf({ host }: JoinRequest, secret: Buffer): Welcome {
  return {
    cluster: 'c',
    secret: secret.toString('hex'),
    certificate: `-----BEGIN CERTIFICATE-----\n${host}\n`,
    authority: { certificate: '-----BEGIN CERTIFICATE-----\n', privateKey: '-----BEGIN PRIVATE KEY-----\n' },
    hosts: [
      { id: 'a', publicKey: '00'.repeat(32), addresses: ['10.0.0.1:7000'], dht: [{ host: '10.0.0.1', port: 7001 }] },
    ],
    coordination: { endpoints: ['https://10.0.0.1:2379'] },
  };
}

/** A host that wants to join. */
export function newcomer(): { keyPair: HyperDHT.KeyPair; request: JoinRequest } {
  const keyPair = HyperDHT.keyPair();
  return {
    keyPair,
    request: {
      host: randomUUID(),
      name: 'newcomer',
      zone: 'rack 1',
      publicKey: keyPair.publicKey.toString('hex'),
      tlsPublicKey: '-----BEGIN PUBLIC KEY-----\nMFk=\n-----END PUBLIC KEY-----\n',
    },
  };
}

export { freePort };
