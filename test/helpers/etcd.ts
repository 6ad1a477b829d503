import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Etcd3 } from 'etcd3';
import { type EtcdCoordination, type EtcdOptions, openEtcd } from '../../lib/coordination/etcd.js';
import { etcdArguments, SOCKET_NAME } from '../../lib/coordination/etcd-arguments.js';
import { type TestCertificates, testCertificates } from './certificates.js';
import { killGroup, temporaryDirectory, track } from './cleanup.js';
import type { Teardowns } from './scope.js';
import { until } from './until.js';

const START_MS_MAX = 20_000;

/** etcd members on loopback, with TLS, started as the project starts them. */
export class TestEtcd {
  readonly members: TestMember[];
  readonly certificates: TestCertificates;

  constructor(members: TestMember[], certificates: TestCertificates) {
    this.members = members;
    this.certificates = certificates;
  }

  /** A client of all members over TLS, unless `endpoints` says otherwise; closed when the test ends. */
  async open(t: Teardowns, options: Partial<EtcdOptions> = {}): Promise<EtcdCoordination> {
    const endpoints = this.members.map(({ url }) => url);
    const wait = { tls: this.certificates.pem, timeoutMs: 2000, endpoints, ...options };
    const store = await openEtcd(wait);
    t.teardown(() => store.close(), { order: -1 });
    return store;
  }

  /** A plain client of one member, for what the project itself never asks; closed when the test ends. */
  raw(t: Teardowns, member = this.members[0]!): Etcd3 {
    const { ca, cert, key } = this.certificates.pem;
    const client = new Etcd3({
      hosts: member.url,
      credentials: { rootCertificate: Buffer.from(ca), certChain: Buffer.from(cert), privateKey: Buffer.from(key) },
      grpcOptions: { 'grpc.ssl_target_name_override': 'localhost' },
    });
    t.teardown(() => client.close(), { order: -1 });
    return client;
  }

  async leader(t: Teardowns): Promise<TestMember> {
    return until('a leader', async () => {
      for (const member of this.members) {
        const { leader, header } = await this.raw(t, member).maintenance.status();
        if (leader === header.member_id) return member;
      }
      return null;
    });
  }

  /** Waits until a client can read from it. */
  async answers(): Promise<void> {
    await until(
      'etcd to answer',
      async () => {
        try {
          const store = await openEtcd({
            tls: this.certificates.pem,
            endpoints: this.members.map(({ url }) => url),
            namespace: 'answers',
          });
          await store.close();
          return true;
        } catch {
          return false;
        }
      },
      START_MS_MAX,
    ).catch((error: Error) => {
      throw new Error(`${error.message}\n${this.members.map((member) => member.log.slice(-2000)).join('\n')}`);
    });
  }
}

export class TestMember {
  readonly name: string;
  readonly directory: string;
  readonly url: string;
  readonly #arguments: string[];
  #process: ChildProcess | null = null;

  constructor(name: string, directory: string, url: string, args: string[]) {
    this.name = name;
    this.directory = directory;
    this.url = url;
    this.#arguments = args;
  }

  get socketUrl(): string {
    return `unix:${join(this.directory, SOCKET_NAME)}`;
  }

  get log(): string {
    return readFileSync(join(this.directory, 'log'), 'utf8');
  }

  get pid(): number {
    return this.#process!.pid!;
  }

  start(): void {
    // Left behind by one that was killed; etcd would find its address in use.
    rmSync(join(this.directory, SOCKET_NAME), { force: true });
    const log = openSync(join(this.directory, 'log'), 'a');
    this.#process = spawn('etcd', this.#arguments, {
      cwd: this.directory,
      stdio: ['ignore', log, log],
      detached: true,
    });
    track(this.pid);
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }

  /** SIGKILL, and waits until it has ended. */
  async kill(): Promise<void> {
    const running = this.#process;
    if (!running || running.exitCode !== null || running.signalCode !== null) return;
    const exit = once(running, 'exit');
    killGroup(this.pid);
    await exit;
  }
}

/** Starts a cluster of `count` members, waits until it answers, and ends it with the test. */
export async function startEtcd(t: Teardowns, count = 1, moreArguments: string[] = []): Promise<TestEtcd> {
  const directory = await temporaryDirectory(t);
  const certificates = testCertificates(directory);
  const ports = await freePorts(2 * count);
  const names = Array.from({ length: count }, (_, i) => `m${i}`);
  const initialCluster = Object.fromEntries(names.map((name, i) => [name, `https://127.0.0.1:${ports[2 * i + 1]}`]));
  const members = names.map((name, i) => {
    const own = join(directory, name);
    mkdirSync(own);
    const url = `https://127.0.0.1:${ports[2 * i]}`;
    const args = etcdArguments({
      name,
      peerUrl: initialCluster[name]!,
      clientUrl: url,
      initialCluster,
      initialState: 'new',
      token: directory,
      tls: certificates,
    });
    return new TestMember(name, own, url, [...args, ...moreArguments]);
  });
  for (const member of members) {
    t.teardown(() => member.kill(), { order: 10 });
    member.start();
  }
  const etcd = new TestEtcd(members, certificates);
  await etcd.answers();
  return etcd;
}

/** Ports of loopback that nothing uses in this moment. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}
