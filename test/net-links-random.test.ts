import { type Assertions, test } from 'brittle';
import { type Authority, createAuthority } from '../lib/net/authority.js';
import { createCredentials, type HostCredentials } from '../lib/net/credentials.js';
import type { Lane } from '../lib/net/links.js';
import { connected, hostId, LinkHost } from './helpers/link-host.js';
import { Random } from './helpers/random.js';
import { socketPair } from './helpers/socket-pair.js';
import { TcpProxy } from './helpers/tcp-proxy.js';
import { sleep, until } from './helpers/until.js';

const STEPS = 400;
const SEED = Number(process.env.SEED ?? 1);
const IDS = [hostId(1), hostId(2), hostId(3)];
const LANES: readonly Lane[] = ['control', 'data'];

/** Three hosts whose networks and processes come and go, and what must be so meanwhile. */
class World {
  readonly faults: string[] = [];
  readonly hosts = new Map<string, LinkHost>();
  /** By the host that is dialled. */
  readonly proxies = new Map<string, TcpProxy>();
  /** By sender's process, session and lane: how many were sent. */
  readonly #sent = new Map<string, number>();
  readonly #received = new Map<string, number>();
  readonly #processes = new Map<LinkHost, number>();
  readonly #credentials = new Map<string, HostCredentials>();
  readonly #t: Assertions;
  readonly #authority: Authority;

  constructor(t: Assertions, authority: Authority) {
    this.#t = t;
    this.#authority = authority;
  }

  async start(id: string): Promise<void> {
    const credentials = this.#credentials.get(id) ?? (await createCredentials(this.#authority, id, []));
    this.#credentials.set(id, credentials);
    const host = await LinkHost.open(this.#t, id, { authority: this.#authority, credentials });
    this.hosts.set(id, host);
    this.#processes.set(host, this.#processes.size);
    const proxy = this.proxies.get(id);
    if (proxy === undefined) this.proxies.set(id, await TcpProxy.open(this.#t, host.links.port));
    else proxy.port = host.links.port;
    host.onOpened = (peer, session) => {
      const other = this.hosts.get(peer)?.sessions.get(id);
      if (other !== undefined && other < session) this.faults.push(`${session} opened while ${other} is open there`);
    };
    host.onReceived = ({ host: from, session, message }) => {
      // The sender's process is in the data.
      const key = `${message.data.readUInt32LE(0)} ${id} ${session} ${message.lane}`;
      const due = this.#received.get(key) ?? 0;
      if (message.number !== due) this.faults.push(`${message.number} of ${key} from ${from} is not ${due}`);
      if (message.number >= (this.#sent.get(key) ?? 0)) this.faults.push(`${message.number} of ${key} was not sent`);
      this.#received.set(key, message.number + 1);
    };
    this.#connect(host);
  }

  connectAll(): void {
    for (const host of this.hosts.values()) this.#connect(host);
  }

  #connect(host: LinkHost): void {
    host.connect(...IDS.filter((id) => id !== host.id).map((id) => [id, ...this.#addressOf(id)] as const));
  }

  #addressOf(id: string): string[] {
    const proxy = this.proxies.get(id);
    return proxy ? [proxy.address] : [];
  }

  send(from: LinkHost, to: string, lane: Lane, bytes: number): void {
    const session = from.sessions.get(to);
    const process = this.#processes.get(from)!;
    const key = `${process} ${to} ${session} ${lane}`;
    const number = this.#sent.get(key) ?? 0;
    const data = Buffer.alloc(4 + bytes, number);
    data.writeUInt32LE(process);
    // Before it is sent: it may arrive before that is known.
    this.#sent.set(key, number + 1);
    const by = from.call(() => from.links.send(to, { lane, number, data }));
    if (by === session) return;
    this.#sent.set(key, number);
    if (by !== null) this.faults.push(`sent by ${by} while ${session} is open`);
  }

  get delivered(): number {
    return [...this.#received.values()].reduce((sum, count) => sum + count, 0);
  }
}

test(`whatever happens to networks and processes, sessions keep their order; SEED=${SEED}`, async (t) => {
  const random = new Random(SEED);
  const world = new World(t, await createAuthority('6f2d1c7e-4f0b-4a77-9a5e-0d6f6a1c2b3d'));
  for (const id of IDS) await world.start(id);
  world.connectAll();
  const one = <T>(of: readonly T[]) => of[random.below(of.length)]!;
  const host = () => world.hosts.get(one(IDS))!;
  const actions: [weight: number, act: () => unknown][] = [
    [
      60,
      () => {
        const from = host();
        const to = one(IDS.filter((id) => id !== from.id));
        for (let count = random.below(20); count >= 0; count--) {
          world.send(from, to, one(LANES), random.below(random.chance(0.1) ? 300_000 : 5000));
        }
      },
    ],
    [4, () => world.proxies.get(one(IDS))!.cut()],
    [8, () => world.proxies.get(one(IDS))!.heal()],
    [6, () => world.proxies.get(one(IDS))!.reset()],
    [
      3,
      async () => {
        const before = host();
        // Sometimes it tells nobody.
        if (random.chance(0.5)) world.proxies.get(before.id)!.cut();
        await before.links.close();
        world.hosts.delete(before.id);
        await world.start(before.id);
      },
    ],
    [
      2,
      () => {
        const some = host();
        some.connect();
        world.connectAll();
      },
    ],
    [
      2,
      async () => {
        const [a, b] = [host(), host()];
        if (a === b) return;
        const [near, far] = await socketPair(t);
        a.links.offer(b.id, near);
        b.links.offer(a.id, far);
      },
    ],
    [15, () => sleep(random.below(random.chance(0.1) ? 1500 : 60))],
  ];
  const weights = actions.reduce((sum, [weight]) => sum + weight, 0);
  for (let step = 0; step < STEPS; step++) {
    let choice = random.below(weights);
    for (const [weight, act] of actions) {
      choice -= weight;
      if (choice >= 0) continue;
      await act();
      break;
    }
    await new Promise(setImmediate);
  }
  for (const proxy of world.proxies.values()) proxy.heal();
  const [a, b, c] = IDS.map((id) => world.hosts.get(id)!) as [LinkHost, LinkHost, LinkHost];
  for (const [left, right] of [
    [a, b],
    [a, c],
    [b, c],
  ] as const) {
    await connected(left, right);
    const before = right.receipts.length;
    world.send(left, right.id, 'data', 100);
    await until('it to arrive', () => right.receipts.length > before);
  }
  t.alike(world.faults, []);
  for (const { faults } of world.hosts.values()) t.alike(faults, []);
  t.ok(
    world.delivered > 100,
    `${world.delivered} messages arrived, ${a.links.counters.sessions} sessions of the last process`,
  );
});
