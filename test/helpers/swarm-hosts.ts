/** Hosts that find each other by lib/net/discovery, each a process of its own, on loopback. */
import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readIfThere } from '../../lib/net/durable-file.js';
import { openHostKey } from '../../lib/net/host-key.js';
import type { HostToFind } from '../../lib/net/known-hosts.js';
import { killGroup, temporaryDirectory, track, untrack } from './cleanup.js';
import { addressOf, type HostNetwork } from './host-network.js';
import type { Teardowns } from './scope.js';
import { until } from './until.js';

const PROCESS = fileURLToPath(new URL('./swarm-process.js', import.meta.url));

export interface SwarmSettings {
  host: string;
  secret: string;
  directory: string;
  port: number;
  linkPort: number;
  listen: string;
  bootstrap: string[];
}

export type SwarmRequest =
  | { kind: 'start'; known: HostToFind[] | null }
  | { kind: 'know'; known: HostToFind[] }
  | { kind: 'close' };

export type SwarmTold =
  | { kind: 'ready' }
  | { kind: 'found'; host: string; addresses: string[] }
  | { kind: 'connected'; host: string }
  | { kind: 'disconnected'; host: string }
  | { kind: 'warning'; line: string }
  | { kind: 'note'; line: string }
  | { kind: 'closed' };

/** A port of UDP, and in all likelihood of TCP, that nobody uses. */
export function freePort(): Promise<number> {
  const socket = createSocket('udp4');
  return new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.bind(0, () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });
}

export class SwarmHost {
  readonly id = randomUUID();
  readonly directory: string;
  readonly secret: string;
  publicKey = '';
  port = 0;
  linkPort = 0;
  address = '127.0.0.1';
  /** What it listens on: all addresses in a network of its own. */
  listen = '127.0.0.1';
  /** What enters that network; see HostNetwork. */
  through: readonly string[] = [];
  told: SwarmTold[] = [];
  #child: ChildProcess | null = null;

  constructor(directory: string, secret: string) {
    this.directory = directory;
    this.secret = secret;
  }

  async make(): Promise<void> {
    await mkdir(this.directory);
    this.publicKey = (await openHostKey(this.directory)).publicKey.toString('hex');
    await this.move();
  }

  /** From the next start on it has other addresses. */
  async move(): Promise<void> {
    this.port = await freePort();
    this.linkPort = await freePort();
  }

  get dht(): string {
    return `${this.address}:${this.port}`;
  }

  get link(): string {
    return `${this.address}:${this.linkPort}`;
  }

  /** As the store has it for one whose addresses nobody has noted. */
  get toFind(): HostToFind {
    return { id: this.id, publicKey: this.publicKey, addresses: [] };
  }

  /** Loads the program; nothing else before `start`. */
  async load(bootstrap: string[] = []): Promise<void> {
    const { id: host, secret, directory, port, linkPort, listen } = this;
    const settings: SwarmSettings = { host, secret, directory, port, linkPort, listen, bootstrap };
    const [execPath, ...execArgv] = [...this.through, process.execPath];
    const child = fork(PROCESS, [JSON.stringify(settings)], { detached: true, execPath, execArgv });
    this.#child = child;
    track(child.pid!);
    child.on('message', (told: SwarmTold) => this.told.push(told));
    this.told = [];
    await until('the process', () => this.told.some(({ kind }) => kind === 'ready'));
  }

  start(known: HostToFind[] | null = null): void {
    this.#send({ kind: 'start', known });
  }

  know(known: HostToFind[]): void {
    this.#send({ kind: 'know', known });
  }

  kill(): void {
    if (this.#child?.pid !== undefined) killGroup(this.#child.pid);
    this.#child = null;
  }

  /** Answers the exit code of a process that has been told to put everything away, and to end for want of work. */
  async close(): Promise<number | null> {
    const child = this.#child!;
    const ended = new Promise<number | null>((resolve) => {
      child.on('exit', resolve);
    });
    this.#send({ kind: 'close' });
    const code = await ended;
    untrack(child.pid!);
    this.#child = null;
    return code;
  }

  /** Ids of the hosts that it is connected with. */
  get connected(): string[] {
    const count = new Map<string, number>();
    for (const told of this.told) {
      if (told.kind === 'connected') count.set(told.host, (count.get(told.host) ?? 0) + 1);
      if (told.kind === 'disconnected') count.set(told.host, (count.get(told.host) ?? 0) - 1);
    }
    return [...count].filter(([, open]) => open > 0).map(([host]) => host);
  }

  /** The addresses of the other that it was told last. */
  foundOf(other: SwarmHost): string[] {
    return (
      this.told.flatMap((told) => (told.kind === 'found' && told.host === other.id ? [told.addresses] : [])).at(-1) ??
      []
    );
  }

  #send(request: SwarmRequest): void {
    this.#child!.send(request);
  }
}

/** Makes hosts of one cluster, on loopback or on a network, which are put away with the test. None is started. */
export async function swarmHosts(t: Teardowns, count: number, network?: HostNetwork): Promise<SwarmHost[]> {
  const root = await temporaryDirectory(t);
  const secret = randomBytes(32).toString('hex');
  const hosts: SwarmHost[] = [];
  t.teardown(() => {
    for (const host of hosts) host.kill();
  });
  for (let index = 0; index < count; index++) {
    const host = new SwarmHost(join(root, String(index)), secret);
    await host.make();
    if (network) {
      host.through = network.through(index + 1);
      host.address = addressOf(index + 1);
      host.listen = '0.0.0.0';
    }
    hosts.push(host);
  }
  return hosts;
}

/** Starts all at the same moment; answers the milliseconds until each is connected with each other one. */
export async function startTogether(
  hosts: SwarmHost[],
  options: { bootstrap?: string[]; known?: HostToFind[] } = {},
): Promise<number> {
  for (const host of hosts) await host.load(options.bootstrap);
  const start = performance.now();
  for (const host of hosts) host.start(options.known ?? null);
  await untilConnected(hosts);
  return performance.now() - start;
}

export function untilConnected(hosts: SwarmHost[], deadlineMs = 30_000): Promise<boolean> {
  return until('all connections', () => hosts.every((host) => host.connected.length === hosts.length - 1), deadlineMs);
}

/** As after a power cut in which the hosts forget everything but what their disks have; `forget` takes that too. */
export async function killAll(hosts: SwarmHost[], options: { forget?: boolean } = {}): Promise<void> {
  for (const host of hosts) {
    host.kill();
    if (options.forget) await rm(join(host.directory, 'hosts.json'), { force: true });
  }
}

/** Until each has stored where the others are now. */
export async function untilRemembered(hosts: SwarmHost[]): Promise<void> {
  for (const host of hosts) {
    const others = hosts.filter((other) => other !== host);
    await until('the file', async () => {
      const text = (await readIfThere(join(host.directory, 'hosts.json')))?.toString() ?? '';
      return others.every(({ port, link }) => text.includes(`: ${port}`) && text.includes(`"${link}"`));
    });
  }
}
